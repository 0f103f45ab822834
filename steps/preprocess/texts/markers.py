"""How a text looks that went through a chat template already: role markers where it begins, in the order of turns.

A marker that is quoted in the middle of a text is none of this: people ask about templates too.
"""

from __future__ import annotations

import re

ROLE = "(?:system|developer|user|human|assistant|model|gpt|bot|tool|observation|ipython|environment|prompter|chatbot)"
BAR = "\uff5c"  # the wide bar of DeepSeek's markers, which have a block for a space
FIRST = (  # what may stand before the first marker
    r"\s*(?:(?:<s>|<bos>|<BOS_TOKEN>|<\|(?:begin_of_text|endoftext|startoftext)\|>|\[gMASK\]<sop>"
    rf"|<{BAR}begin\u2581of\u2581sentence{BAR}>)\s*)?"
)
ROLE_MARKERS = (
    rf"<\|im_start\|>{ROLE}\s*(?:\n|<\|im_sep\|>|\Z)",  # ChatML, Phi-4
    rf"<\|(?:start_header_id|header_start)\|>{ROLE}<\|(?:end_header_id|header_end)\|>",  # Llama 3 and 4
    rf"<\|(?:start_of_role\|>{ROLE}|im_{ROLE}\|>|START_OF_TURN_TOKEN\|>)",  # Granite, Kimi, Cohere
    rf"<\|{ROLE}\|>(?:\s*\n|\s*\Z|.*(?:<\|\w+\|>|</s>)\s*(?:\n|\Z))",  # Zephyr, Phi-3, GLM, Falcon
    rf"<\|(?:start\|>{ROLE}|channel\|>\w+)[^\n]{{0,80}}<\|message\|>",  # harmony
    r"<extra_id_[01]>(?:System|User|Assistant)",  # NeMo
    rf"<(?:start_of_turn|\|turn)>{ROLE}\s*\n",  # Gemma
    rf"<{BAR}(?:User|Assistant){BAR}>",  # DeepSeek
    r"\[INST\].*\[/INST\]|\[SYSTEM_PROMPT\].*\[/SYSTEM_PROMPT\]|<<SYS>>.*<</SYS>>",  # Llama 2, Mistral
)
STARTS = re.compile(FIRST + f"(?:{'|'.join(ROLE_MARKERS)})", re.DOTALL | re.IGNORECASE)
OPEN = (  # how a prompt of a template ends, which waits for the answer; what is quoted stands behind a space
    r"(?<! )(?:<\|im_start\|>assistant(?:<\|im_sep\|>)?|<\|(?:start_header_id|header_start)\|>assistant"
    r"<\|(?:end_header_id|header_end)\|>|<\|start_of_role\|>assistant<\|end_of_role\|>|<\|(?:im_)?assistant\|>"
    r"|<\|START_OF_TURN_TOKEN\|><\|CHATBOT_TOKEN\|>|<\|start\|>assistant|<extra_id_1>Assistant"
    rf"|<(?:start_of_turn|\|turn)>model|<{BAR}Assistant{BAR}>|<\|end_of_turn\|>(?:[A-Z]\w* ){{0,2}}Assistant:)"
    r"\s*(?:<think>\s*(?:</think>\s*)?)?\Z"
)
ASKED = (
    r"<\|im_start\|>user|<\|(?:start_header_id|header_start|start_of_role|start)\|>user|<\|(?:im_)?user\|>"
    rf"|<\|USER_TOKEN\|>|<extra_id_1>User|<(?:start_of_turn|\|turn)>user|<{BAR}User{BAR}>|\bUser:"
)
# Transcripts end with the marker of the turn that is to come, and have the user's before it.
TRANSCRIPTS = (
    (re.compile(OPEN), re.compile(ASKED)),
    (re.compile(r"ASSISTANT:\s*\Z"), re.compile(r"(?:^|\s)USER:\s")),  # Vicuna
    (  # nothing but turns, a line each
        re.compile(r"\n\s*Assistant:\s*\Z"),
        re.compile(r"\A\s*+(?:(?:System|User|Human|Assistant):[^\n]*+\s*+)++\Z"),
    ),
    (  # Alpaca, Guanaco
        re.compile(r"### ?(?:Response|Assistant)(?:\s*:)?\s*\Z"),
        re.compile(r"(?:^|\n)### ?(?:Instruction|Human|User)(?:\s*:|\s*\n)"),
    ),
)
ANSWERS = re.compile(r"\s*(?:ASSISTANT:|### ?(?:Response|Assistant):)")  # how an answer to one may begin
TAIL = 80  # characters in which the last marker of a transcript stands
ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<|return|>", "<|eom_id|>", "<|eot|>"),
    *("<end_of_turn>", "<|end_of_turn|>", "<|END_OF_TURN_TOKEN|>", "<|end_of_role|>", "<eos>", "</s>"),
    f"<{BAR}end\u2581of\u2581sentence{BAR}>",
)
FIRST_CHARACTERS = ("<", "[", " ", "\n", "\t", "\r")  # of what STARTS finds
LAST_CHARACTERS = (
    ">",
    ":",
    " ",
    "\n",
    "\r",
    "]",
    "Response",
    "Assistant",
    "assistant",
    "model",
)  # of transcripts and ENDS


ANSWER_BEGINNINGS = (*FIRST_CHARACTERS, "ASSISTANT:", "###")
ANSWER_ENDS = (">", " ", "\n", "\r")


def starts_rendered(text: str) -> bool:
    """Whether a text begins with a role's marker of a chat template, and is no sentence about Llama 2's markers."""
    if not may_start_rendered(text):
        return False
    if not text.lstrip().startswith("[INST]"):
        return True
    return text.rstrip().endswith("[/INST]") or "</s>" in text or "<<SYS>>" in text or text.count("[INST]") > 1


def may_start_rendered(text: str) -> bool:
    """Whether a text begins with such a marker, which may be quoted."""
    return text.startswith(FIRST_CHARACTERS) and STARTS.match(text) is not None


def is_transcript(text: str) -> bool:
    """Whether a text is a prompt as `USER: … ASSISTANT:`, with `### Instruction` and `### Response`, or one that ends
    with the marker of a template that the answer comes behind, whatever it begins with."""
    tail = text[-TAIL:]
    return any(end.search(tail) and asked.search(text) for end, asked in TRANSCRIPTS)


def end_marker(text: str) -> str | None:
    """The marker of a turn's end with which a text ends, if it says anything before it."""
    bare = text.rstrip()
    if not bare.endswith(">"):
        return None
    return next((end for end in ENDS if bare.endswith(end) and bare.removesuffix(end).strip()), None)
