#!/usr/bin/env bash
# Sets up the Python that benchmarks and fixtures compare with, from PyPI:
#   scripts/reference/setup.sh [DIRECTORY]     default: .clipyard/reference
set -euo pipefail
cd "$(dirname "$0")/../.."
directory=${1:-.clipyard/reference}
python3 -m venv "$directory"
"$directory/bin/pip" install --quiet --requirement scripts/reference/requirements.txt
"$directory/bin/python" -c 'import torch; print(f"PyTorch {torch.__version__}")'
echo "export PYTHON=$(realpath "$directory")/bin/python"
