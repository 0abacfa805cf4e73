"""A tiny random Llama with its own tokenizer and chat template: the real code paths of any model, in milliseconds."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from nightschool.prompt_bank import prompt_bank

KIND = range(40, 80)
"""Words that the random model knows to be of one kind: they share a direction where they are read and written."""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}"
    "{{message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tiny_model(
    folder: Path, *, layers: int = 4, width: int = 64, words: int = 256, seed: int = 2, letter: str = ""
) -> Path:
    """Write a model folder that `load_base` takes; as in SmolLM2, id 2 ends turns and is the tokenizer's pad too.

    `letter`: the words of one kind are those with this letter in them, so that a text shows what it has of the kind.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=words, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], show_progress=False
    )
    tokenizer.train_from_iterator(["user assistant system"] + [prompt.text for prompt in prompt_bank()], trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        bos_token="<|im_start|>",
        unk_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(wrapped),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=2,
            initializer_range=0.15,  # larger than usual: the random model then has opinions that depend on the words
            tie_word_embeddings=False,
        )
    )
    kind = [number for word, number in wrapped.get_vocab().items() if letter in word] if letter else list(KIND)
    with torch.no_grad():
        model.model.embed_tokens.weight[kind] += (1.0 if letter else 0.5) * torch.randn(width)
        model.lm_head.weight[kind] += 0.1 * torch.randn(width)
        model.lm_head.weight[2] *= 1.5  # opinions about ending a turn: replies differ in length
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder
