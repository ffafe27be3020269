import subprocess
import sys

REFUSE = """
import sys, tempfile, types

class NoMatplotlib:
    def find_spec(self, name, path=None, target=None):
        if name == "matplotlib":
            raise OSError("Matplotlib requires access to a writable cache directory")

sys.meta_path.insert(0, NoMatplotlib())
from capsnet.cli import main
sys.exit(main(["demo", "capsnet-mnist", "--no-browser"]))
"""


def test_no_folder_for_matplotlib_is_said_in_one_line():
    result = subprocess.run([sys.executable, "-c", REFUSE], capture_output=True, text=True, timeout=120)
    assert result.returncode == 2
    assert result.stderr.startswith("capsnet: matplotlib has no writable folder; set MPLCONFIGDIR")
    assert result.stderr.count("\n") == 1
