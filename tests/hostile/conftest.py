from tests.e2e.conftest import box, node, short_path

__all__ = ["box", "node", "short_path"]
