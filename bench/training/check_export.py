#!/usr/bin/env python3
"""Holds an exported model to transformers and its GGUF to llama.cpp: same prompts, same greedy tokens.

    check_export.py HEADGATE MODEL_FOLDER [GGUF] [--tokens 64]

MODEL_FOLDER is what `headgate train` or `headgate export` left. Needs PyPI transformers and torch; with GGUF also llama-cpp-python, in
this interpreter or in the one that LLAMA_PYTHON names. bf16 weights are computed in fp32 on both sides; where the two best tokens are
closer than 1e-3 either may follow, and the rest of that answer is not compared.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

PROMPTS = ["Hello! Who are you?", "What is 12 plus 30?", "Tell me a short story about a fox.", "What is the capital of France?",
           "Turn this into JSON with the keys name and age: Mira is 34 years old.",
           "There are 3 apples in the box. Tom puts 4 more apples into the box. How many apples are in the box?"]
LLAMA = """
import json, sys, llama_cpp
model = llama_cpp.Llama(sys.argv[1], n_ctx=2048, n_threads=2, verbose=False, logits_all=False)
answers = []
for ids in json.load(open(sys.argv[2])):
    model.reset(); model.eval(ids); out = []
    for _ in range(int(sys.argv[3])):
        token = model.sample(temp=0.0, repeat_penalty=1.0); out.append(token); model.eval([token])
    answers.append(out)
print(json.dumps(answers))
"""


def ours(headgate, model, ids, count):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(ids, file)
        file.flush()
        done = subprocess.run([headgate, "run", "-m", model, "--ids", file.name, "--print-ids", "-n", str(count), "--temp", "0",
                               "--exact", "--draft", "off"], check=True, capture_output=True, encoding="utf-8")
    return [int(token) for token in done.stdout.replace(",", " ").strip("[] \n").split()]


def compare(name, prompt, found, expected, gaps):
    """Tokens that agree before the first difference; a difference must be a near tie."""
    for i, (a, b) in enumerate(zip(found, expected)):
        if a != b:
            assert gaps is not None and gaps[i] < 1e-3, f"{name}, {prompt!r}: token {i} is {a}, expected {b}"
            return i
    return len(expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("headgate")
    parser.add_argument("model")
    parser.add_argument("gguf", nargs="?")
    parser.add_argument("--tokens", type=int, default=64)
    args = parser.parse_args()
    import torch
    import transformers
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    network = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    prompts = [tokenizer.apply_chat_template([{"role": "user", "content": p}], add_generation_prompt=True, return_dict=False)
               for p in PROMPTS]
    agreed = total = 0
    for prompt, ids in zip(PROMPTS, prompts):
        with torch.no_grad():
            out = network.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), max_new_tokens=args.tokens,
                                   do_sample=False, output_logits=True, return_dict_in_generate=True)
        total += len(out.logits)
        best = torch.cat(out.logits).topk(2).values
        expected = out.sequences[0][len(ids):].tolist()
        agreed += compare("transformers", prompt, ours(args.headgate, args.model, ids, args.tokens), expected,
                          (best[:, 0] - best[:, 1]).tolist())
    print(f"transformers {transformers.__version__}: {agreed} of {total} greedy tokens equal" +
          ("" if agreed == total else ", the others behind near ties"))
    if args.gguf:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(prompts, file)
            file.flush()
            done = subprocess.run([os.environ.get("LLAMA_PYTHON", sys.executable), "-c", LLAMA, args.gguf, file.name,
                                   str(args.tokens)], check=True, capture_output=True, encoding="utf-8")
        answers = json.loads(done.stdout.splitlines()[-1])
        same = 0
        for prompt, ids, theirs in zip(PROMPTS, prompts, answers):
            mine = ours(args.headgate, args.gguf, ids, args.tokens)
            same += next((i for i, (a, b) in enumerate(zip(mine, theirs)) if a != b), args.tokens)
        print(f"llama.cpp: loads the GGUF; {same} of {len(PROMPTS) * args.tokens} greedy tokens before the first difference of "
              "each answer (it rounds activations to 8 bits, this program does not here)")


if __name__ == "__main__":
    main()
