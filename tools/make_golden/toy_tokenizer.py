"""A tokenizer of 384 tokens with Qwen's pipeline: 256 bytes, some merges, the added tokens of Qwen3."""
import json
import os

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SIZE = 384
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
           "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
           "<|image_pad|>", "<|video_pad|>"]
ADDED = SPECIAL + ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
                   "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"]


def spelled_bytes():
    """The 256 letters that stand for bytes, in the order of their ids."""
    printable = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def pipeline(model):
    """Normaliser, pre-tokenizer and decoder around a BPE model."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def make_tokenizer(texts):
    """Learns the merges from `texts`; the result has SIZE tokens."""
    learned = pipeline(models.BPE())
    learned.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=SIZE - len(ADDED), min_frequency=1, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    merges = [tuple(merge) for merge in json.loads(learned.to_str())["model"]["merges"]]
    vocabulary = {letter: token for token, letter in enumerate(spelled_bytes())}
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    tokenizer = pipeline(models.BPE(vocab=vocabulary, merges=merges))
    for text in ADDED:
        tokenizer.add_tokens([AddedToken(text, normalized=False, special=text in SPECIAL)])
    if tokenizer.get_vocab_size() != SIZE:
        raise ValueError(f"the text gives {tokenizer.get_vocab_size()} tokens, {SIZE} are needed")
    return tokenizer


def write_tokenizer(folder, text_config):
    """tokenizer.json, tokenizer_config.json and generation_config.json."""
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "LICENSE")   # text that never changes
    with open(page, encoding="utf-8") as file:
        tokenizer = make_tokenizer([file.read()])
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    end, pad = text_config["eos_token_id"], text_config["bos_token_id"]
    settings = {
        "tokenizer_config.json": dict(
            tokenizer_class="Qwen2Tokenizer", model_max_length=262144, eos_token="<|im_end|>", pad_token="<|endoftext|>",
            bos_token=None, unk_token=None, add_bos_token=False, add_prefix_space=False,
            clean_up_tokenization_spaces=False, errors="replace", split_special_tokens=False),
        "generation_config.json": dict(bos_token_id=pad, eos_token_id=[end, pad], pad_token_id=pad, do_sample=True,
                                       temperature=0.7, top_k=20, top_p=0.8)}
    for name, value in settings.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
