"""Windows of series: where points lie in time, and in windows."""
