"""What commands do: one verb, one module, values in and values out. How it is typed and shown is not known here."""
