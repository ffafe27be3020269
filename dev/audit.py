"""Ask the public index which of the installed packages have known vulnerabilities: `make audit`.

pip-audit ends as if all were well where the index gives no answers, as a mirror does. Here that is said in a line of
its own. Exit status 1: there are known vulnerabilities.
"""

import json
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Audit the packages in the folder `site-packages` that is given."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--format", "json", "--progress-spinner", "off"]
    ran = subprocess.run([*command, "--path", sys.argv[1]], capture_output=True, text=True)
    try:
        packages = json.loads(ran.stdout)["dependencies"]
    except ValueError:
        print(f"NOT AUDITED: {' '.join(ran.stderr.split())[-300:]}")
        return 0
    audited = [package for package in packages if "skip_reason" not in package]
    vulnerable = [package for package in audited if package["vulns"]]
    print(f"{len(audited)} of {len(packages)} packages audited, {len(vulnerable)} with known vulnerabilities")
    for package in vulnerable:
        fixed = {version for vulnerability in package["vulns"] for version in vulnerability["fix_versions"]}
        names = ", ".join(vulnerability["id"] for vulnerability in package["vulns"])
        print(f"{package['name']} {package['version']}: {names}; fixed in {', '.join(sorted(fixed)) or 'no version'}")
    if not audited:
        print("NOT AUDITED: the index knows none of the packages")
    return int(bool(vulnerable))


if __name__ == "__main__":
    sys.exit(main())
