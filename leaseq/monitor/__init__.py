"""The monitor: what a lease is doing, on a terminal that people leave open all day.

reader   threads that read the lease directory and post immutable values
model    what is known, what the person chose, and what follows from both
layout, panes, detail, logs, overlays, view   a frame: rows of styled spans. Pure
apart, ahead   what tells commands apart; when the queue is empty. Pure
calls, doings  title, bell and notifications; what was done here. Pure
keys, dialogs, actions   one table of keys; a key gives a new state and effects. Pure
terminal, main   the only parts that touch a terminal
"""
