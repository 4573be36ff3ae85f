#!/usr/bin/env bash
# Makes a Python environment with the CPU side of torch, transformers and peft, for the tests against Hugging Face, and
# within it VENV_FOLDER/adapters with the adapters library and its older transformers.
#
#   bash test/reference/install.sh VENV_FOLDER        (PYTHON=python3.11 or newer to choose the interpreter)
#
# About 600 MB of downloads (torch's wheel for Linux x86_64 is the CUDA build) and 2 GB on disk; a minute on two cores.
# Does nothing when VENV_FOLDER already holds what the requirement files here ask for.
set -euo pipefail

venv=${1:?usage: install.sh VENV_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stamp="$venv/reference-requirements.sha256"
wanted=$(cat "$here/requirements.txt" "$here/requirements-torch.txt" "$here/requirements-adapters.txt" "$here/cuda_stubs.py" | sha256sum)

if [[ -f "$stamp" && "$(<"$stamp")" == "$wanted" ]]; then
  echo "reference environment: up to date in $venv"
  exit 0
fi

"${PYTHON:-python3}" -m venv "$venv"
python="$venv/bin/python"
"$python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
"$python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/requirements-torch.txt"
if [[ "$(uname -sm)" == 'Linux x86_64' ]]; then
  "$python" "$here/cuda_stubs.py" "$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')"
fi
"${PYTHON:-python3}" -m venv "$venv/adapters"
older="$venv/adapters/bin/python"
"$older" -m pip install --quiet --disable-pip-version-check -r "$here/requirements-adapters.txt"
# Behind the older environment's own packages: torch and what else it lacks.
site='import sysconfig; print(sysconfig.get_path("platlib"))'
"$python" -c "$site" > "$("$older" -c "$site")/torch-of-the-other.pth"
"$older" -c 'import adapters, transformers; print("adapters", adapters.__version__, "transformers", transformers.__version__)'
"$python" -c 'import peft, torch, transformers; print("torch", torch.__version__, "transformers", transformers.__version__, "peft", peft.__version__)'
echo "$wanted" > "$stamp"
