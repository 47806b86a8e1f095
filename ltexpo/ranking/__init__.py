"""Events and items → each user's candidates with scores: the plain baselines, their blend, and its calibration."""
