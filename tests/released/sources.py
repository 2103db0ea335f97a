"""Source trees of several styles, of other words than the original's, and the wording that is in them."""

from __future__ import annotations

from affectgpt.released.checkpoint_config import CheckpointConfig, parse_config
from affectgpt.released.wording import Wording

TEMPLATE = "##Q: Mix <Multi>{multi}</Multi>, ear {audio_tokens}, eye {face_tokens}! Said <Subtitle>{subtitle}</Subtitle>. {question} ##A: "  # noqa: E501
EXPECTED = Wording(TEMPLATE, "How does the one seen here feel?", "Which moods do you see here?", "Seen: {labels}.")

F_STRINGS = '''
"""A module that must never run."""
raise SystemExit("it was run")
class Base(Dataset):
    def prompt_of(self, kind, subtitle, user_message):
        if kind == "audioonly":
            prompt = f"##Q: ear <AudioHere>. {user_message} ##A: "
        elif kind == "multiface_audio_face_text":
            assert subtitle is not None
            prompt = f"##Q: Mix <Multi><MultiHere></Multi>, " \\
                     + f"ear <AudioHere>, eye <FaceHere>! " \\
                     + f"Said <Subtitle>{subtitle}</Subtitle>. {user_message} ##A: "
        return prompt

    def qa_description(self, sample, only=False):
        question = "How does the one seen here feel?"
        if only:
            return question
        return {"question": question, "answer": sample["description"]}

    def qa_description_and_ovlabel(self):
        question = "Would you tell both at once?"
        return question

    def qa_ovlabel(self, sample, only=False):
        question = "Which moods do you see here?"
        if only:
            return question
        return {"question": question, "answer": f"Seen: {sample['ovlabel']}."}
'''

FORMATTED = """
import config
HEAD = "##Q: Mix <Multi>" + config.MULTI_MARK + "</Multi>, ear {a}, eye {f}! "
def build(kind, words, asked):
    if kind in ("multiface_audio_face_text",):
        text = HEAD.format(a="<AudioHere>", f="<FaceHere>")
        text += "Said <Subtitle>{}</Subtitle>. {} ".format(words, asked)
        text += "##A: "
    elif kind == "face":
        text = "ear <AudioHere> eye <FaceHere> %s %s" % (words, asked)
    return text

def qa(sample, label_type):
    if label_type == "description":
        question = "How does the one seen here feel?"
        answer = sample.description
    elif label_type == "ovlabel":
        question = "Which moods do you see here?"
        answer = "Seen: %s." % sample.ovlabel
    return question, answer
"""

TABLE = """
QUESTIONS = {
    "description": "How does the one seen here feel?",
    "ovlabel": ("Which moods do "
                "you see here?"),
    "valence": "How good is it, from -3 to 3?",
}
def sample_of(row):
    return dict(answer="Seen: {labels}.".format(labels=row["ovlabel"]))
class Prompts:
    def get(self, kind, subtitle, question):
        match kind:
            case "multiface_audio_face_text":
                return "".join(["##Q: Mix <Multi><MultiHere></Multi>, ear <AudioHere>, ", "eye <FaceHere>! Said <Subtitle>",
                                subtitle, "</Subtitle>. ", question, " ##A: "])
"""  # noqa: E501

STYLES = {"f-strings": F_STRINGS, "formatted": FORMATTED, "a table": TABLE}


def facts(reads: str = "multiface_audio_face_text", dataset: str = "mercaptionplus") -> CheckpointConfig:
    model = {"llama_model": "Qwen25", "visual_encoder": "CLIP_VIT_LARGE", "acoustic_encoder": "HUBERT_LARGE"}
    model |= {f"{branch}_fusion_type": "attention" for branch in ("video", "audio", "multi")}
    counts = {f"num_{branch}_query_token": 1 for branch in ("video", "audio", "multi")}
    return parse_config({"model": model | counts, "datasets": {dataset: {"face_or_frame": reads}}}, "test")


MARK = 'MULTI_MARK = "<MultiHere>"\nOTHER = "<ImageHere>"\n'
