"""What comes next in series: Forecaster, its linear model, and intervals."""
