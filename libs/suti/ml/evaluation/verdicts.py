"""What a judge says of a picture, as metrics; who sums up needs no endpoint's client."""

from typing import Final

METRICS: Final = ("judge_subject", "judge_text", "judge_photorealism", "judge_overall")
