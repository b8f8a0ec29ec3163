"""Word pools of the generators.  The held-out part of a pool is only used by the evaluation."""

import random

NAMES = """Adam Alice Amy Anna Arthur Ben Bella Carl Clara Daisy Daniel David Diana Dora Edith
Eli Ella Emma Erik Eva Felix Fiona Frank Fred George Grace Greta Hana Hannah Henry Hugo Ida Iris
Ivan Ivy Jack Jacob Jane Jonas Julia June Karl Kate Kofi Lara Laura Lena Leo Lily Linda Louis
Lucas Lucy Luke Marco Maria Mark Mary Max Maya Mia Mila Milo Nadia Nina Noah Nora Olga Oliver
Olive Omar Oscar Otto Paul Paula Peter Philip Pia Quinn Rachel Ralph Rita Robert Rosa Rose Ruth
Sally Sam Sara Simon Sofia Stella Sven Tara Theo Thomas Tim Tina Tom Toby Uma Vera Victor Walter
Will Yara Yusuf Zara Zoe Amir Bruno Carla Chen Elena Farid Hassan Ingrid Jorge Kenji Leila Mei
Nikolai Priya Rahul Samir Tomas Wei"""
NAMES_TEST = (
    "Albert Bianca Cora Dennis Elsa Gustav Helen Isaac Jenny Kevin Lisa Martin Naomi "
    "Oskar Petra Roland Susan Vivian"
)

CITIES = """Athens Berlin Boston Cairo Delhi Denver Dublin Geneva Hamburg Helsinki Istanbul Kyoto
Lagos Lima Lisbon London Lyon Madrid Manila Melbourne Miami Milan Montreal Mumbai Munich Nairobi
Naples Osaka Oslo Oxford Paris Perth Portland Prague Rome Seattle Seoul Shanghai Stockholm Sydney
Tokyo Toronto Turin Valencia Vienna Warsaw Zurich Austin Bergen Bristol Chicago Dallas Florence
Glasgow Krakow Leeds Porto Quito Riga Sofia Tampa York"""
CITIES_TEST = (
    "Antwerp Bogota Cologne Dresden Edinburgh Ghent Houston Jakarta Memphis Nice Salzburg Tunis"
)

THINGS = """apple ball basket bell blanket book bottle bowl box bread brush bucket button cake
candle cap card chair clock coat coin cup doll drum fan feather flag flute fork glove hammer hat
jar kettle key kite knife ladder lamp letter map marble medal mirror mug needle nut paper pear
pen pencil picture pillow pipe plate plum pot puzzle radio ribbon ring rock rope rug scarf shell
shirt shoe soap sock spoon stamp star stick stone sweater table ticket toy umbrella vase violin
watch wheel whistle"""
THINGS_TEST = (
    "barrel bracelet camera compass helmet lantern magnet necklace paddle saddle teapot trumpet"
)

ANIMALS = """ant bear badger bat beaver bee bird bull butterfly camel cat chicken cow crab crow
deer dog dolphin donkey duck eagle elephant fish fox frog giraffe goat goose hare hedgehog hen
horse kangaroo kitten lamb lion lizard mole monkey mouse otter owl ox panda parrot peacock
penguin pig pony puppy rabbit raven robin rooster seal sheep snail snake sparrow spider squirrel
swan tiger toad tortoise turkey turtle wolf"""
ANIMALS_TEST = "antelope cheetah flamingo heron jackal koala ostrich pigeon raccoon walrus"

COLORS = "red blue green yellow black white brown orange pink purple gray silver golden violet"
PLACES = """attic barn basement bathroom bedroom cellar garage garden hall hallway kitchen
library market museum office park playground school shed station stable studio yard"""
PLACES_TEST = "balcony bakery chapel courtyard harbor pantry theater workshop"
FRUITS = """apples bananas beans books boxes buttons cakes candles cards cherries coins cookies
eggs figs flowers grapes lemons marbles melons muffins nuts oranges peaches pears pencils plums
potatoes shells stamps stickers stones tomatoes toys tulips"""
FRUITS_TEST = "apricots balloons biscuits bottles limes mangos ribbons roses"
KEYS = """age animal city code color count country date day email fruit height id level month
name number owner phone price score size status team title type weight year"""
KEYS_TEST = "brand grade hobby job language planet street zone"
JOBS = """actor artist baker barber builder carpenter clerk cook dancer dentist doctor driver
engineer farmer fisherman gardener judge lawyer mechanic miner nurse painter pilot plumber poet
postman sailor singer soldier tailor teacher waiter writer"""
JOBS_TEST = "architect chemist librarian musician shepherd weaver"
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
MONTHS = "January February March April May June July August September October November December"
ROOMS = "kitchen bedroom bathroom hallway office garage garden attic cellar nursery library"
ROOMS_TEST = "balcony pantry workshop"

_POOLS = {
    "name": (NAMES, NAMES_TEST),
    "city": (CITIES, CITIES_TEST),
    "thing": (THINGS, THINGS_TEST),
    "animal": (ANIMALS, ANIMALS_TEST),
    "place": (PLACES, PLACES_TEST),
    "fruit": (FRUITS, FRUITS_TEST),
    "key": (KEYS, KEYS_TEST),
    "job": (JOBS, JOBS_TEST),
    "room": (ROOMS, ROOMS_TEST),
    "color": (COLORS, COLORS),
    "day": (DAYS, DAYS),
    "month": (MONTHS, MONTHS),
}


LOWER = ("thing", "animal", "place", "fruit", "key", "job", "room")
UPPER = ("name", "city")


def held_out_words():
    """Every word of the held-out halves, to keep them out of the wide word lists too."""
    return {w for train, test in _POOLS.values() if test != train for w in test.split()}


class Ctx:
    """Random source and the side of the split (train or test) of pools and templates.

    With wild set, half of the draws come from all common words (or proper nouns) of the books, so
    that values must be copied from the prompt and cannot be learned as a closed list.
    """

    def __init__(self, seed, test=False, words=(), passages=(), proper=(), new_templates=None):
        self.rng = random.Random(seed)
        self.test = test
        self.new_templates = test if new_templates is None else new_templates
        self.words = words or ("hello", "world")
        self.proper = proper
        self.passages = passages
        self.wild = False
        self.pools = {k: v[1 if test else 0].split() for k, v in _POOLS.items()}

    def one(self, pool):
        return self.some(pool, 1)[0]

    def some(self, pool, n):
        if self.wild and not self.test and self.proper and self.rng.random() < 0.5:
            if pool in UPPER:
                return self.rng.sample(self.proper, n)
            if pool in LOWER:
                return self.rng.sample(self.words, n)
        return self.rng.sample(self.pools[pool], n)

    def template(self, options):
        """The last sixth of a list (at least one of four or more) is kept for the evaluation."""
        held = max(1, len(options) // 6) if len(options) >= 4 else 0
        if not held:
            return self.rng.choice(options)
        return self.rng.choice(options[-held:] if self.new_templates else options[:-held])

    def chance(self, p):
        return self.rng.random() < p

    def word(self):
        return self.rng.choice(self.words)


def sample(skill, user, answer, reply, think=None, **extra):
    """One single-turn conversation; think is the reasoning text used when thinking is on."""
    return {
        "skill": skill,
        "answer": answer,
        "messages": [
            {"role": "user", "content": user},
            {"role": "assistant", "content": reply, "think": think},
        ],
        **extra,
    }


def article(noun):
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun
