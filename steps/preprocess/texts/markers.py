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
# Transcripts end with the marker of the turn that is to come, and have the user's before it.
TRANSCRIPTS = (
    (re.compile(r"ASSISTANT:\s*\Z"), re.compile(r"(?:^|\s)USER:\s")),  # Vicuna
    (re.compile(r"\n\s*Assistant:\s*\Z"), re.compile(r"\A\s*(?:User|Human):\s")),
    (
        re.compile(r"### ?(?:Response|Assistant|Answer|Output)(?:\s*:)?\s*\Z"),
        re.compile(r"(?:^|\n)### ?(?:Instruction|Human|User|Question|Input|Task|Prompt)(?:\s*:|\s*\n)"),  # Alpaca
    ),
)
ANSWERS = re.compile(r"\s*(?:ASSISTANT:|### ?(?:Response|Assistant):)")  # how an answer to one may begin
TAIL = 40  # characters in which the last marker of a transcript stands
ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|endoftext|>", "<|end|>", "<|return|>", "<|eom_id|>", "<|eot|>"),
    *("<end_of_turn>", "<|END_OF_TURN_TOKEN|>", "<|end_of_role|>", "<eos>", "</s>"),
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
    "Answer",
    "Assistant",
    "Output",
)  # of transcripts and ENDS


ANSWER_BEGINNINGS = (*FIRST_CHARACTERS, "ASSISTANT:", "###")
ANSWER_ENDS = (">", " ", "\n", "\r")


def starts_rendered(text: str) -> bool:
    """Whether a text begins with a role's marker of a chat template."""
    return text.startswith(FIRST_CHARACTERS) and STARTS.match(text) is not None


def is_transcript(text: str) -> bool:
    """Whether a text is a prompt as `USER: … ASSISTANT:`, or with `### Instruction` and `### Response`."""
    tail = text[-TAIL:]
    return any(end.search(tail) and asked.search(text) for end, asked in TRANSCRIPTS)


def end_marker(text: str) -> str | None:
    """The marker of a turn's end with which a text ends, if it says anything before it."""
    bare = text.rstrip()
    if not bare.endswith(">"):
        return None
    return next((end for end in ENDS if bare.endswith(end) and bare.removesuffix(end).strip()), None)
