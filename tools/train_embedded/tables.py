"""Small tables of everyday knowledge, written for this project."""

OPPOSITES = """hot cold;big small;tall short;long short;fast slow;good bad;happy sad;day night;
up down;left right;in out;on off;open closed;old young;new old;rich poor;strong weak;hard soft;
full empty;early late;high low;near far;light dark;clean dirty;dry wet;thick thin;wide narrow;
loud quiet;easy difficult;cheap expensive;true false;first last;begin end;love hate;give take;
push pull;win lose;buy sell;come go;laugh cry;awake asleep;alive dead;brave afraid;sweet sour;
heavy light;deep shallow;smooth rough;sharp blunt;before after;above below;inside outside;
north south;east west;summer winter;peace war;friend enemy;question answer;always never;many few;
all none;right wrong;top bottom;front back"""
PAST = """go went;eat ate;see saw;run ran;come came;take took;give gave;make made;say said;
think thought;know knew;find found;get got;tell told;feel felt;leave left;keep kept;begin began;
write wrote;read read;speak spoke;drink drank;sing sang;swim swam;fly flew;grow grew;throw threw;
draw drew;drive drove;ride rode;rise rose;break broke;wake woke;choose chose;forget forgot;
buy bought;bring brought;catch caught;teach taught;sleep slept;sit sat;stand stood;win won;
lose lost;sell sold;send sent;build built;hear heard;hold held;meet met;pay paid;fall fell;
walk walked;play played;jump jumped;look looked;ask asked;open opened;help helped;work worked;
live lived;love loved;wait waited;laugh laughed;cook cooked"""
PLURALS = """child children;man men;woman women;mouse mice;foot feet;tooth teeth;goose geese;
person people;knife knives;leaf leaves;wolf wolves;baby babies;city cities;story stories;
box boxes;bus buses;dish dishes;fox foxes;cat cats;dog dogs;book books;apple apples;house houses;
tree trees;sheep sheep;fish fish;potato potatoes;tomato tomatoes;wife wives;life lives;
half halves;party parties;country countries;key keys;day days;toy toys;watch watches;
bench benches;glass glasses;horse horses"""
SOUNDS = """dog barks;cat meows;cow moos;sheep bleats;horse neighs;pig grunts;duck quacks;
hen clucks;rooster crows;lion roars;wolf howls;bee buzzes;snake hisses;bird sings;frog croaks;
owl hoots;mouse squeaks;donkey brays;crow caws;goose honks"""
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen
fourteen fifteen sixteen seventeen eighteen nineteen twenty"""
KINDS = {
    "a fruit": "apple pear banana cherry plum peach orange lemon grape fig melon strawberry",
    "a vegetable": "carrot potato onion bean pea cabbage pumpkin spinach",
    "an animal": "dog cat horse cow lion tiger bear wolf fox mouse rabbit elephant",
    "a bird": "eagle owl crow duck hen swan robin sparrow penguin parrot",
    "an insect": "bee ant fly beetle butterfly moth wasp cricket",
    "a color": "red blue green yellow black white brown orange purple pink",
    "a tool": "hammer saw drill wrench screwdriver pliers",
    "a piece of furniture": "table chair bed sofa desk shelf wardrobe",
    "a vehicle": "car bus train truck bicycle tram ship plane",
    "a musical instrument": "piano guitar violin flute drum trumpet harp cello",
    "a drink": "water milk tea coffee juice lemonade",
    "a metal": "iron gold silver copper tin lead zinc",
    "a season": "spring summer autumn winter",
    "a planet": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune",
    "a month": "January March May July August October",
    "a continent": "Africa Asia Europe Australia Antarctica",
}
UNKNOWN = [
    "Who won the {w} {k} in {y}?",
    "What is the {w} of {w2}?",
    "Explain {t}.",
    "How does {a} {w} work?",
    "Who invented the {w}?",
    "What happened in {y}?",
    "Who was the president in {y}?",
    "What is the price of {a} {w}?",
    "Where can I buy {a} {w}?",
    "Write an essay about {t}.",
    "Summarize the book {W}.",
    "Translate {w} into French.",
    "What is the square root of {y}?",
    "How do I repair {a} {w}?",
    "Who is {N} {W}?",
    "When did {N} {W} die?",
    "What does {N} think about {t}?",
    "Write a {w} program in Python.",
    "Solve this equation: {y} x = {z}.",
    "What is the stock price of {W}?",
    "What is the phone number of {N}?",
    "How far is it from {C} to {C2}?",
    "Who discovered {w}?",
    "Why did {N} leave {C}?",
    "What is the history of {t}?",
    "Give me a recipe for {w}.",
    "Compare {w} and {w2}.",
    "What are the laws about {t}?",
    "Can you explain {t} to me?",
    "Tell me about {t}.",
    "What do you know about {t}?",
    "How many {w} are there in {C}?",
    "Is {w} better than {w2}?",
    "What is {t}?",
    "Who is the mayor of {C}?",
    "How do I get a {w}?",
    "Prove that {w} is {w2}.",
    "What is the best {w} in {C}?",
    "Draw {a} {w}.",
    "Open the file {w}.",
    "Should I buy {a} {w}?",
    "Who sang {W}?",
]
TOPICS = """quantum physics;the stock market;the Roman Empire;black holes;deep learning;
the French Revolution;democracy;inflation;evolution;photosynthesis;the theory of relativity;
climate change;the Second World War;philosophy;ancient Egypt;cell biology;blockchain;
the immune system;organic chemistry;modern art;tax law;rocket engines;game theory;the Cold War;
genetics;probability theory;computer security;opera;geology;medieval history;nuclear power;
politics;economics;psychology;algebra;the Middle Ages;vaccines;software design;supply chains;
linguistics"""
FEELINGS = {
    "happy": "I am glad to hear that!",
    "sad": "I am sorry to hear that.",
    "tired": "Then you should rest a little.",
    "angry": "I am sorry. Take a deep breath.",
    "excited": "That sounds great!",
    "afraid": "I am sorry. You are not alone.",
    "lonely": "I am sorry. I am here to talk.",
    "proud": "You can be proud!",
    "bored": "Shall I tell you a story?",
}


def pairs(text):
    return [tuple(p.split()) for p in text.replace("\n", "").split(";")]


LANGUAGES = """France French;Germany German;Austria German;Italy Italian;Spain Spanish;
Portugal Portuguese;Brazil Portuguese;Poland Polish;Russia Russian;China Chinese;Japan Japanese;
Greece Greek;Turkey Turkish;Sweden Swedish;Norway Norwegian;Denmark Danish;Finland Finnish;
Netherlands Dutch;Hungary Hungarian;Czechia Czech;Romania Romanian;Bulgaria Bulgarian;
Ukraine Ukrainian;Mexico Spanish;Argentina Spanish;Chile Spanish;Peru Spanish;Colombia Spanish;
Cuba Spanish;Egypt Arabic;Iraq Arabic;Morocco Arabic;Iran Persian;Israel Hebrew;Thailand Thai;
Vietnam Vietnamese;Australia English;Ireland English;Croatia Croatian;Serbia Serbian;
Iceland Icelandic;Albania Albanian"""
COUNTRY_NAMES = {
    "none": "",
    "The Dominican": "the Dominican Republic",
    "DRC": "",
    "Burma": "",
    "C\u00f4te d'Ivoire": "",
    "Congo (Brazzaville)": "",
}
CAPITALS = {"Burundi": "Gitega", "Moldova": "Chisinau", "Bolivia": "Sucre"}
WELL_KNOWN = """France Germany Austria Italy Spain Portugal Brazil Poland Russia China Japan
Greece Turkey Sweden Norway Denmark Finland Netherlands Hungary Czechia Romania Ukraine Mexico
Argentina Chile Peru Colombia Cuba Egypt Iraq Iran Israel Thailand Vietnam Australia Ireland
Belgium Switzerland Canada India Kenya Nigeria Ethiopia Morocco Indonesia Philippines Pakistan
Bangladesh""".split()
WELL_KNOWN += [
    "United Kingdom",
    "United States",
    "South Africa",
    "South Korea",
    "North Korea",
    "Saudi Arabia",
    "New Zealand",
]
