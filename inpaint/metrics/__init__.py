"""How good a repaired picture is."""
