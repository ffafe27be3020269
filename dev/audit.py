"""Ask the public index which of the installed packages have known vulnerabilities: `make audit`.

pip-audit says nothing of a package that the index does not know, and then ends as if all were well. Here that is a
result of its own: 0 no vulnerability is known, 1 there are some, 3 the index gave no answers (a mirror gives none).
"""

import json
import subprocess
import sys
from pathlib import Path

_NO_ANSWERS = 3


def main() -> int:
    """Audit the packages in the folder `site-packages` that is given."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--format", "json", "--progress-spinner", "off"]
    ran = subprocess.run([*command, "--path", sys.argv[1]], capture_output=True, text=True)
    try:
        packages = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        print(f"no answer from the index: {ran.stderr.strip().splitlines()[-1:]}")
        return _NO_ANSWERS
    audited = [package for package in packages if "skip_reason" not in package]
    vulnerable = [package for package in audited if package["vulns"]]
    print(f"{len(audited)} of {len(packages)} packages audited, {len(vulnerable)} with known vulnerabilities")
    for package in vulnerable:
        fixed = {version for vulnerability in package["vulns"] for version in vulnerability["fix_versions"]}
        names = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        print(f"{package['name']} {package['version']}: {names}; fixed in {', '.join(sorted(fixed)) or 'no version'}")
    if vulnerable:
        return 1
    return 0 if audited else _NO_ANSWERS


if __name__ == "__main__":
    sys.exit(main())
