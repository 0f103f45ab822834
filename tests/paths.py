"""Where things lie that several tests read: the checkout, samples, golden definitions, real data beside it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
SAMPLES = ROOT / "tests" / "data" / "formats"
GOLDEN = ROOT / "tests" / "pipeline" / "definition" / "golden"
