"""Files and folders: one owner, written whole or not at all, and what comes from anyone read within limits."""
