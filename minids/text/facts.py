"""What never changes in the synthetic texts: 64 people, 64 functions, 64 people in Chinese.

Facts are drawn once, from constant seeds, and have nothing to do with the seed of a text: two
texts tell different stories about the same people. Only `random.Random(int).random()` is used,
whose sequence Python promises to keep, so the facts are the same on every machine.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

T = TypeVar("T")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """Return one of the options, each as likely as the others, by one call of `rng.random()`."""
    return options[int(rng.random() * len(options))]


@dataclass(frozen=True, kw_only=True, eq=False)
class Language:
    """A cast of people, what there is to know about them, and the sentences that tell it.

    A template may name any fact in braces; `{name}` is the person, `{who}` and `{they}` the
    person or a pronoun (at the start and inside of a sentence), and `{friend_food}` what the
    friend likes to eat: two facts in one step. The first half of the names takes the first pronoun.
    """

    names: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    templates: tuple[tuple[str, ...], ...]  # one tuple a fact, of sentences that say the same
    pronouns: tuple[str, str]
    space: str  # between two sentences
    seed: int  # of the facts, never of a text


ENGLISH = Language(
    names=_words(
        """Anna Bella Carla Dora Ella Fiona Greta Hanna Iris Julia Kate Lena Mira Nora Olga Paula
        Rosa Sara Tina Uma Vera Wanda Yara Zoe Alma Berta Clara Dana Edith Flora Gina Helga Adam
        Ben Carl David Emil Frank Georg Hugo Ivan Jack Karl Leo Max Noah Oscar Paul Quin Ralf Sam
        Tom Udo Victor Will Yusuf Zack Aron Boris Colin Dirk Eric Fred Gary"""
    ),
    values={
        "town": _words(
            """Oakton Redhill Bridgeport Lakeside Stonefield Greenwood Fairview Millbrook Northgate
            Silverton Winford Ashby Copperdale Harbour Rosewood Sandbank"""
        ),
        "job": _words(
            """baker doctor teacher farmer painter singer sailor miner judge nurse carpenter
            gardener librarian pilot tailor waiter"""
        ),
        "animal": ("cat", "dog", "horse", "goat", "parrot", "rabbit", "duck", "turtle"),
        "colour": ("red", "blue", "green", "white", "black", "grey", "brown", "yellow"),
        "food": _words(
            """bread cheese plums soup rice fish apples honey noodles beans pears cake carrots eggs
            mushrooms cherries"""
        ),
        "music": ("flute", "piano", "drum", "harp", "violin", "guitar", "trumpet", "cello"),
        "month": _words(
            """January February March April May June July August September October November
            December"""
        ),
    },
    templates=(
        ("{who} lives in {town}.", "The house of {name} stands in {town}."),
        ("{who} works as a {job}.", "Everyone knows that {they} is a good {job}."),
        ("{who} has a {colour} {animal}.", "The {animal} of {name} is {colour}."),
        ("{who} likes {food} best of all.", "In the evening {they} often eats {food}."),
        ("{who} plays the {music}.", "On Sundays {they} takes out the {music} and plays."),
        ("{who} was born in {month}.", "The birthday of {name} is in {month}."),
        (
            "{who} is a friend of {friend}, who likes {friend_food}.",
            "When {friend} visits {name}, they eat {friend_food}.",
        ),
    ),
    pronouns=("she", "he"),
    space=" ",
    seed=1,
)

CHINESE = Language(
    names=tuple(family + given for given in "红丽芳静明军强伟" for family in "王李张刘陈杨赵周"),
    values={
        "town": _words(
            """北京 上海 广州 成都 西安 南京 杭州 武汉 天津 重庆 苏州 青岛 大连 长沙 昆明 厦门"""
        ),
        "job": _words(
            """老师 医生 厨师 司机 画家 歌手 农民 记者 警察 律师 护士 作家 工人 木匠 渔夫 店员"""
        ),
        "animal": _words("一只猫 一条狗 一只鸟 一匹马 一只羊 一头牛 一只鸡 一条鱼"),
        "colour": tuple("红黄蓝绿白黑灰紫"),
        "food": _words(
            """米饭 面条 饺子 苹果 西瓜 豆腐 鸡蛋 包子 香蕉 葡萄 牛肉 青菜 烤鸭 火锅 汤圆 月饼"""
        ),
        "hobby": _words(
            """唱歌 跳舞 画画 下棋 游泳 跑步 爬山 钓鱼 看书 写字 打球 种花 骑车 拍照 做饭 喝茶"""
        ),
        "month": _words("一月 二月 三月 四月 五月 六月 七月 八月 九月 十月"),
    },
    templates=(
        ("{who}住在{town}。", "{name}的家在{town}。"),
        ("{who}是一名{job}。", "大家都知道，{they}是一名好{job}。"),
        ("{who}养了{animal}，{colour}色的。", "{name}家里有{animal}，是{colour}色的。"),
        ("{who}最爱吃{food}。", "晚上，{they}常常吃{food}。"),
        ("{who}喜欢{hobby}。", "每到周末，{they}都去{hobby}。"),
        ("{who}是{month}出生的。", "{name}的生日在{month}。"),
        (
            "{who}的好朋友是{friend}，{friend}最爱吃{friend_food}。",
            "{friend}来{name}家做客，桌上有{friend_food}。",
        ),
    ),
    pronouns=("她", "他"),
    space="",
    seed=2,
)

VERBS = _words("scale shift merge count trim pack score blend")
NOUNS = _words("row grid list path word node page wave")
PARAMETERS = ("x", "n", "size", "key", "left", "right", "step", "first")
LOCALS = ("total", "result", "value", "out")
STATEMENTS = (
    "    {out} = {out} * {a} + {p}\n",
    "    {out} -= {p} // {a}\n",
    "    for i in range({a}):\n        {out} += i * {p}\n",
    "    for i in range({p} % {a}):\n        {out} = {out} + i\n",
    "    if {out} > {b}:\n        {out} -= {b}\n",
    "    if {p} % {a} == 0:\n        return {out} + {b}\n",
    "    while {out} > {b}:\n        {out} //= {a}\n",
)
"""Lines of the functions' bodies: {a} is 2 to 9, {b} is 10 to 99, so every loop ends."""


@cache
def people(language: Language) -> Mapping[str, Mapping[str, str]]:
    """Return what is true of each name: the facts in `values`, a friend, and the friend's food."""
    rng, half = random.Random(language.seed), len(language.names) // 2
    facts = {
        name: {"name": name, "they": language.pronouns[i // half]}
        | {fact: pick(rng, values) for fact, values in language.values.items()}
        | {"friend": pick(rng, [other for other in language.names if other != name])}
        for i, name in enumerate(language.names)
    }
    return {
        name: known | {"friend_food": facts[known["friend"]]["food"]}
        for name, known in facts.items()
    }


@cache
def functions() -> Mapping[str, tuple[str, int]]:
    """Return for each of 64 function names its source text and how many arguments it takes.

    The functions run on whole numbers from 0 on and return a whole number.
    """
    rng = random.Random(3)
    return {f"{verb}_{noun}": _function(rng, verb, noun) for verb in VERBS for noun in NOUNS}


def _function(rng: random.Random, verb: str, noun: str) -> tuple[str, int]:
    """Write a function with 1 to 3 arguments and a body of 2 to 4 statements."""
    arity = pick(rng, (1, 2, 2, 3))
    parameters = sorted(PARAMETERS, key=lambda _: rng.random())[:arity]
    out, start = pick(rng, LOCALS), pick(rng, parameters)
    text = f"def {verb}_{noun}({', '.join(parameters)}):\n"
    text += (
        f'    """{verb.capitalize()} the {noun}."""\n    {out} = {start} + {pick(rng, range(10))}\n'
    )
    for statement in sorted(STATEMENTS, key=lambda _: rng.random())[: pick(rng, (2, 3, 3, 4))]:
        a, b = pick(rng, range(2, 10)), pick(rng, range(10, 100))
        text += statement.format(out=out, p=pick(rng, parameters), a=a, b=b)
    return text + f"    return {out}\n", arity
