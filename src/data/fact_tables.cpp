// Small tables of everyday knowledge, written for this project.
#include "data/fact_tables.h"

namespace headgate {

std::string_view opposites_table() {
  return R"t(hot cold;big small;tall short;long short;fast slow;good bad;happy sad;day night;up down;
left right;in out;on off;open closed;old young;new old;rich poor;strong weak;hard soft;
full empty;early late;high low;near far;light dark;clean dirty;dry wet;thick thin;wide narrow;
loud quiet;easy difficult;cheap expensive;true false;first last;begin end;love hate;give take;
push pull;win lose;buy sell;come go;laugh cry;awake asleep;alive dead;brave afraid;sweet sour;
heavy light;deep shallow;smooth rough;sharp blunt;before after;above below;inside outside;
north south;east west;summer winter;peace war;friend enemy;question answer;always never;
many few;all none;right wrong;top bottom;front back)t";
}

std::string_view past_tenses_table() {
  return R"t(go went;eat ate;see saw;run ran;come came;take took;give gave;make made;say said;think thought;
know knew;find found;get got;tell told;feel felt;leave left;keep kept;begin began;write wrote;
read read;speak spoke;drink drank;sing sang;swim swam;fly flew;grow grew;throw threw;draw drew;
drive drove;ride rode;rise rose;break broke;wake woke;choose chose;forget forgot;buy bought;
bring brought;catch caught;teach taught;sleep slept;sit sat;stand stood;win won;lose lost;
sell sold;send sent;build built;hear heard;hold held;meet met;pay paid;fall fell;walk walked;
play played;jump jumped;look looked;ask asked;open opened;help helped;work worked;live lived;
love loved;wait waited;laugh laughed;cook cooked)t";
}

std::string_view plurals_table() {
  return R"t(child children;man men;woman women;mouse mice;foot feet;tooth teeth;goose geese;person people;
knife knives;leaf leaves;wolf wolves;baby babies;city cities;story stories;box boxes;bus buses;
dish dishes;fox foxes;cat cats;dog dogs;book books;apple apples;house houses;tree trees;
sheep sheep;fish fish;potato potatoes;tomato tomatoes;wife wives;life lives;half halves;
party parties;country countries;key keys;day days;toy toys;watch watches;bench benches;
glass glasses;horse horses)t";
}

std::string_view animal_sounds_table() {
  return R"t(dog barks;cat meows;cow moos;sheep bleats;horse neighs;pig grunts;duck quacks;hen clucks;
rooster crows;lion roars;wolf howls;bee buzzes;snake hisses;bird sings;frog croaks;owl hoots;
mouse squeaks;donkey brays;crow caws;goose honks)t";
}

std::string_view capitals_table() {
  return R"t(France Paris;Germany Berlin;Austria Vienna;Italy Rome;Spain Madrid;Portugal Lisbon;
Brazil Brasilia;Poland Warsaw;Russia Moscow;China Beijing;Japan Tokyo;Greece Athens;
Turkey Ankara;Sweden Stockholm;Norway Oslo;Denmark Copenhagen;Finland Helsinki;Hungary Budapest;
Czechia Prague;Romania Bucharest;Bulgaria Sofia;Ukraine Kyiv;Argentina Buenos_Aires;
Chile Santiago;Peru Lima;Colombia Bogota;Cuba Havana;Egypt Cairo;Iraq Baghdad;Iran Tehran;
Thailand Bangkok;Vietnam Hanoi;Australia Canberra;Ireland Dublin;Belgium Brussels;
Switzerland Bern;Canada Ottawa;India New_Delhi;Kenya Nairobi;Nigeria Abuja;Ethiopia Addis_Ababa;
Morocco Rabat;Indonesia Jakarta;Pakistan Islamabad;Bangladesh Dhaka;Iceland Reykjavik;
Albania Tirana;Croatia Zagreb;Serbia Belgrade;Slovakia Bratislava;Slovenia Ljubljana;
Estonia Tallinn;Latvia Riga;Lithuania Vilnius;Tunisia Tunis;Algeria Algiers;Ghana Accra;
Senegal Dakar;Uganda Kampala;Nepal Kathmandu;Mongolia Ulaanbaatar;Ecuador Quito;
Uruguay Montevideo;Venezuela Caracas;Jamaica Kingston;Lebanon Beirut;Jordan Amman;Qatar Doha;
Philippines Manila)t";
}

std::string_view languages_table() {
  return R"t(France French;Germany German;Austria German;Italy Italian;Spain Spanish;Portugal Portuguese;
Brazil Portuguese;Poland Polish;Russia Russian;China Chinese;Japan Japanese;Greece Greek;
Turkey Turkish;Sweden Swedish;Norway Norwegian;Denmark Danish;Finland Finnish;Netherlands Dutch;
Hungary Hungarian;Czechia Czech;Romania Romanian;Bulgaria Bulgarian;Ukraine Ukrainian;
Mexico Spanish;Argentina Spanish;Chile Spanish;Peru Spanish;Colombia Spanish;Cuba Spanish;
Egypt Arabic;Iraq Arabic;Morocco Arabic;Iran Persian;Israel Hebrew;Thailand Thai;
Vietnam Vietnamese;Australia English;Ireland English;Croatia Croatian;Serbia Serbian;
Iceland Icelandic;Albania Albanian)t";
}

std::string_view kinds_table() {
  return R"t(a fruit|apple pear banana cherry plum peach orange lemon grape fig melon strawberry
a vegetable|carrot potato onion bean pea cabbage pumpkin spinach
an animal|dog cat horse cow lion tiger bear wolf fox mouse rabbit elephant
a bird|eagle owl crow duck hen swan robin sparrow penguin parrot
an insect|bee ant fly beetle butterfly moth wasp cricket
a color|red blue green yellow black white brown orange purple pink
a tool|hammer saw drill wrench screwdriver pliers
a piece of furniture|table chair bed sofa desk shelf wardrobe
a vehicle|car bus train truck bicycle tram ship plane
a musical instrument|piano guitar violin flute drum trumpet harp cello
a drink|water milk tea coffee juice lemonade
a metal|iron gold silver copper tin lead zinc
a season|spring summer autumn winter
a planet|Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune
a month|January March May July August October
a continent|Africa Asia Europe Australia Antarctica)t";
}

std::string_view feelings_table() {
  return R"t(happy|I am glad to hear that!
sad|I am sorry to hear that.
tired|Then you should rest a little.
angry|I am sorry. Take a deep breath.
excited|That sounds great!
afraid|I am sorry. You are not alone.
lonely|I am sorry. I am here to talk.
proud|You can be proud!
bored|Shall I tell you a story?)t";
}

std::string_view unknown_questions_table() {
  return R"t(Who won the {w} {k} in {y}?
What is the {w} of {w2}?
Explain {t}.
How does {a} {w} work?
Who invented the {w}?
What happened in {y}?
Who was the president in {y}?
What is the price of {a} {w}?
Where can I buy {a} {w}?
Write an essay about {t}.
Summarize the book {W}.
Translate {w} into French.
What is the square root of {y}?
How do I repair {a} {w}?
Who is {N} {W}?
When did {N} {W} die?
What does {N} think about {t}?
Write a {w} program in Python.
Solve this equation: {y} x = {z}.
What is the stock price of {W}?
What is the phone number of {N}?
How far is it from {C} to {C2}?
Who discovered {w}?
Why did {N} leave {C}?
What is the history of {t}?
Give me a recipe for {w}.
Compare {w} and {w2}.
What are the laws about {t}?
Can you explain {t} to me?
Tell me about {t}.
What do you know about {t}?
How many {w} are there in {C}?
Is {w} better than {w2}?
What is {t}?
Who is the mayor of {C}?
How do I get a {w}?
Prove that {w} is {w2}.
What is the best {w} in {C}?
Draw {a} {w}.
Open the file {w}.
Should I buy {a} {w}?
Who sang {W}?)t";
}

std::string_view hard_topics_table() {
  return R"t(quantum physics;the stock market;the Roman Empire;black holes;deep learning;
the French Revolution;democracy;inflation;evolution;photosynthesis;the theory of relativity;
climate change;the Second World War;philosophy;ancient Egypt;cell biology;blockchain;
the immune system;organic chemistry;modern art;tax law;rocket engines;game theory;the Cold War;
genetics;probability theory;computer security;opera;geology;medieval history;nuclear power;
politics;economics;psychology;algebra;the Middle Ages;vaccines;software design;supply chains;
linguistics)t";
}

namespace {

constexpr std::string_view kDefinitions =
    R"t(rain|Rain is water that falls from clouds in small drops. It fills rivers and helps plants grow.
snow|Snow is frozen water that falls from clouds in soft white flakes when the air is cold.
ice|Ice is frozen water. It is hard and cold, and it melts when it gets warm.
wind|Wind is moving air. It blows from places with high pressure to places with low pressure.
a cloud|A cloud is a mass of tiny drops of water or ice that floats in the sky.
thunder|Thunder is the loud sound that lightning makes when it heats the air.
lightning|Lightning is a bright flash of electricity in the sky during a storm.
a rainbow|A rainbow is an arc of colors in the sky. You see it when the sun shines through rain.
fog|Fog is a cloud that lies close to the ground. It makes it hard to see far.
a storm|A storm is very bad weather with strong wind, rain or snow, and sometimes thunder.
the sun|The sun is the star in the middle of our solar system. It gives us light and warmth.
the moon|The moon moves around the earth. It shines at night because it reflects the light of the sun.
a star|A star is a huge ball of hot gas that gives off light. The sun is a star.
a planet|A planet is a large round body that moves around a star. The earth is a planet.
the earth|The earth is the planet we live on. It is the third planet from the sun.
the solar system|The solar system is the sun with its eight planets, their moons and many smaller bodies.
gravity|Gravity is the force that pulls things toward each other. It keeps our feet on the ground.
light|Light is energy that we can see. Most of our light comes from the sun.
sound|Sound is a vibration that travels through the air to our ears.
heat|Heat is energy that makes things warm. It moves from hot things to cold things.
fire|Fire is what we see when something burns. It gives light and heat, and it needs air.
water|Water is a clear liquid. All plants, animals and people need water to live.
air|Air is the mix of gases around us. People and animals breathe it.
a river|A river is a long stream of water that flows toward the sea or a lake.
a lake|A lake is a large area of water with land all around it.
the sea|The sea is the salt water that covers most of the earth.
an ocean|An ocean is a very large sea. The Pacific is the largest ocean.
an island|An island is a piece of land with water all around it.
a mountain|A mountain is a very high piece of land, much higher than a hill.
a volcano|A volcano is a mountain with an opening where hot melted rock can come out.
a desert|A desert is a very dry place where it hardly ever rains.
a forest|A forest is a large area with many trees. Many animals live there.
a tree|A tree is a tall plant with a trunk, branches and leaves. Trees can live for many years.
a flower|A flower is the colorful part of a plant. It makes the seeds.
a seed|A seed is a small part of a plant from which a new plant can grow.
a plant|A plant is a living thing that grows in the ground and makes its food from light, water and air.
grass|Grass is a low green plant that covers fields and gardens.
a fruit|A fruit is the part of a plant that holds the seeds. Apples and pears are fruits.
a vegetable|A vegetable is a plant, or a part of it, that we eat. Carrots and beans are vegetables.
bread|Bread is a food made from flour, water and usually yeast. It is baked in an oven.
milk|Milk is a white drink that comes from cows and other animals. It is good for the bones.
cheese|Cheese is a food made from milk. There are many kinds of cheese.
honey|Honey is a sweet food that bees make from the nectar of flowers.
sugar|Sugar is a sweet white food that comes from cane or beets.
salt|Salt is a white mineral that we use to give food more taste.
coffee|Coffee is a hot dark drink made from roasted beans.
tea|Tea is a hot drink made from the leaves of the tea plant.
chocolate|Chocolate is a sweet brown food made from cocoa beans.
an animal|An animal is a living thing that can move and eats plants or other animals.
a mammal|A mammal is an animal that feeds its young with milk. Dogs, whales and people are mammals.
a bird|A bird is an animal with feathers, two wings and a beak. Most birds can fly.
a fish|A fish is an animal that lives in water and breathes through gills.
an insect|An insect is a small animal with six legs. Bees, ants and flies are insects.
a reptile|A reptile is a cold-blooded animal with dry skin, such as a snake or a lizard.
a dog|A dog is an animal that many people keep as a pet. Dogs are loyal and like to play.
a cat|A cat is a small animal with soft fur. Many people keep cats as pets.
a horse|A horse is a large animal with four long legs. People ride horses.
a cow|A cow is a large farm animal that eats grass and gives milk.
a bee|A bee is a flying insect that makes honey and helps flowers make seeds.
a whale|A whale is a very large mammal that lives in the sea. It must come up to breathe.
an elephant|An elephant is the largest land animal. It has big ears and a long trunk.
a lion|A lion is a large wild cat. It lives in groups, mostly in Africa.
a spider|A spider is a small animal with eight legs. Many spiders make webs to catch insects.
a snake|A snake is a long reptile without legs.
a frog|A frog is a small animal that lives near water and can jump far.
a butterfly|A butterfly is an insect with four colorful wings. It begins its life as a caterpillar.
an owl|An owl is a bird that hunts at night. It has large eyes and hears very well.
a penguin|A penguin is a black and white bird that cannot fly but swims very well.
a computer|A computer is a machine that follows instructions and works with numbers, text and pictures.
a program|A program is a list of instructions for a computer.
the internet|The internet is a network that connects computers all over the world.
a robot|A robot is a machine that can do some work by itself.
a language model|A language model is a computer program that has learned from text which word comes next. I am one.
a neural network|A neural network is a program made of many small units with numbers, called weights, that are learned from examples.
a token|A token is a small piece of text, such as a word or a part of a word. I read and write tokens.
JSON|JSON is a simple text format for data. It uses names and values in braces, like {"name": "Anna", "age": 7}.
a book|A book is a set of printed pages held together in a cover. People read books to learn and for fun.
a library|A library is a place with many books that people can read or borrow.
a school|A school is a place where children learn to read, write and count.
a teacher|A teacher is a person who helps others learn.
a doctor|A doctor is a person who helps sick people get well.
a hospital|A hospital is a place where doctors and nurses care for sick people.
a farmer|A farmer is a person who grows plants or keeps animals for food.
a king|A king is a man who rules a country.
a queen|A queen is a woman who rules a country, or the wife of a king.
a country|A country is a land with its own people and government.
a city|A city is a large place where many people live and work.
a capital|A capital is the city where the government of a country works.
a village|A village is a small place in the country with only a few houses.
a map|A map is a drawing that shows where places are.
a clock|A clock is a thing that shows the time.
a year|A year is the time the earth needs to go around the sun. It has twelve months, or 365 days.
a week|A week is seven days long. It has the days from Monday to Sunday.
a day|A day has 24 hours. It is the time the earth needs to turn around once.
an hour|An hour is sixty minutes long.
a minute|A minute is sixty seconds long.
summer|Summer is the warmest season of the year. It comes after spring.
winter|Winter is the coldest season of the year. It comes after autumn.
spring|Spring is the season after winter. Flowers start to grow and the days get longer.
autumn|Autumn is the season after summer. The leaves turn yellow and red and fall from the trees.
money|Money is what we use to pay for things.
a bank|A bank is a place that keeps and lends money.
a house|A house is a building where people live.
a bridge|A bridge is a road or path built over a river, a road or a valley.
a car|A car is a machine with four wheels and a motor. People drive cars on roads.
a train|A train is a row of wagons pulled by an engine on rails.
a ship|A ship is a large boat that carries people or goods over the sea.
a plane|A plane is a machine with wings that flies through the air.
a bicycle|A bicycle is a vehicle with two wheels. You move it with your feet.
music|Music is sound made with voices or instruments in a way that people like to hear.
a song|A song is music with words.
a piano|A piano is a large musical instrument with black and white keys.
a guitar|A guitar is a musical instrument with strings, usually six.
art|Art is something that people make to show beauty, ideas or feelings, such as a picture or a poem.
a poem|A poem is a short text that plays with sound and pictures in words. Many poems rhyme.
a story|A story tells what happened to someone. It can be true or made up.
a fable|A fable is a short story, often about animals, that teaches a lesson.
a dream|A dream is a story that our mind makes while we sleep.
sleep|Sleep is the time when the body and the mind rest.
a friend|A friend is someone you like and trust.
love|Love is a strong and warm feeling for someone.
happiness|Happiness is the good feeling you have when things are well.
courage|Courage is doing what is right even when you are afraid.
anger|Anger is the strong feeling you have when something seems unfair or wrong.
time|Time is what clocks measure. It runs from the past through the present to the future.
a number|A number is something we use to count, such as one, two or three.
addition|Addition means putting numbers together. For example, 2 + 3 = 5.
subtraction|Subtraction means taking one number away from another. For example, 5 - 3 = 2.
multiplication|Multiplication means adding a number to itself many times. For example, 3 * 4 = 12.
division|Division means sharing a number into equal parts. For example, 12 / 4 = 3.
a circle|A circle is a round shape. Every point of it has the same distance from the middle.
a triangle|A triangle is a shape with three sides and three corners.
a square|A square is a shape with four equal sides and four right angles.
gold|Gold is a yellow metal that does not rust. It is rare and costs a lot.
iron|Iron is a strong gray metal. It is used to make tools and machines.
glass|Glass is a hard clear material made from sand. Windows are made of glass.
wood|Wood is the hard part of a tree. People build houses and furniture with it.
paper|Paper is a thin material made from wood. We write and print on it.
electricity|Electricity is a kind of energy that flows through wires. It makes lamps and machines work.
a magnet|A magnet is a piece of metal that pulls iron toward it.
the heart|The heart is a muscle that pumps blood through the body.
the brain|The brain is the part of the body that thinks, feels and remembers.
blood|Blood is the red liquid that carries air and food through the body.
a bone|A bone is a hard part inside the body. Bones hold the body up.
a ghost|A ghost is the spirit of a dead person in a story. Ghosts are not real.
a dragon|A dragon is a large animal in stories. It can fly and breathe fire. Dragons are not real.
a fairy|A fairy is a small magical person in stories.
a doll|A doll is a toy that looks like a person.
a game|A game is something you play for fun. Most games have rules.
football|Football is a game for two teams. They try to kick a ball into a goal.
chess|Chess is a board game for two players. The goal is to trap the king of the other player.
health|Health means that the body and the mind are well.)t";

}  // namespace

std::string_view definitions_table() { return kDefinitions; }

}  // namespace headgate
