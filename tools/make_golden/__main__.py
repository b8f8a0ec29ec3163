"""Makes golden cases from transformers: python tools/make_golden [--only NAME,...] [--specs FILE.json] [--out FOLDER].

Without --specs it makes the cases of cases.py. A specs file is a list of such entries; an entry needs name, seed and
config, the rest has defaults. --kernels makes the fixtures without a model instead. Needs torch, transformers 5,
tokenizers, safetensors, gguf and numpy, a CPU, and some seconds per case. The bytes depend on the versions and on the
CPU, so tests read the committed files and nothing is made while they run.
"""
import argparse
import json
import os
import sys
import time

import torch

import gradients
import kernel_fixtures
from cases import BASE, CASES
from expectations import CaseMaker

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read_specs(path):
    """The entries of a specs file, completed."""
    with open(path, encoding="utf-8") as file:
        return [{**BASE, "trace": (0, 1), **entry} for entry in json.load(file)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of cases, separated by commas")
    parser.add_argument("--specs", help="a JSON list of cases instead of cases.py")
    parser.add_argument("--out", default=os.path.join(ROOT, "tests", "golden"), help="folder with cases/ and kernels/")
    parser.add_argument("--kernels", action="store_true", help="make the fixtures without a model")
    parser.add_argument("--gradients", help="add gradients.safetensors to these cases, separated by commas, and make the "
                        "fixture of the delta rule's gradients")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if options.kernels:
        kernel_fixtures.write_all(os.path.join(options.out, "kernels"))
        return 0
    if options.gradients:
        for name in options.gradients.split(","):
            gradients.write_case(os.path.join(options.out, "cases", name))
        gradients.write_delta(os.path.join(options.out, "kernels", "delta_gradients.safetensors"))
        return 0
    specs = read_specs(options.specs) if options.specs else CASES
    wanted = options.only.split(",") if options.only else [spec["name"] for spec in specs]
    unknown = set(wanted) - {spec["name"] for spec in specs}
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    for spec in specs:
        if spec["name"] in wanted:
            start = time.time()
            about = CaseMaker(spec, os.path.join(options.out, "cases", spec["name"])).write()
            worst = ", ".join(f"{what} {value:.1e}" for what, value in about["errors"].items())
            print(f"{spec['name']}: {time.time() - start:.1f} s; {worst}; least lead {min(about['greedy_margin'].values()):.3f}",
                  flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
