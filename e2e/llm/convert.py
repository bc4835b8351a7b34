"""Unpacks the one GGUF file in a folder into a bfloat16 safetensors model folder with its tokenizer: convert.py IN OUT"""

import glob
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

source, target = sys.argv[1:]
name = os.path.basename(glob.glob(source + "/*.gguf")[0])
tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=name)
model = AutoModelForCausalLM.from_pretrained(source, gguf_file=name, dtype=torch.bfloat16)

# The weights are plain numbers by now; what is left of the quantization would be written to config.json and refused by vLLM.
for attribute in ("hf_quantizer", "quantization_method", "is_quantized"):
    if hasattr(model, attribute):
        setattr(model, attribute, None)
if hasattr(model.config, "quantization_config"):
    del model.config.quantization_config

model.save_pretrained(target)
tokenizer.save_pretrained(target)
