"""The item layouts, and every conditional write on them, as pure functions that return the write.

Each module opens with its table's items; each write names the one service that may make it.
"""
