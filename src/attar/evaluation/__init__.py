"""How good is it: measures, the linear baseline, and a diagnosis in words."""
