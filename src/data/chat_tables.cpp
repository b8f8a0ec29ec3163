// Small talk: lines of questions with the same answers, the answers behind "=" on the next line.
#include "data/fact_tables.h"

namespace headgate {

namespace {

constexpr std::string_view kSmallTalk =
    R"t(Who are you?|What are you?|Tell me about yourself.|Introduce yourself.|What is your name?|What's your name?|Do you have a name?|who are you|May I ask your name?|Can you introduce yourself?|your name?|Say who you are.
=I am Headgate, a small language model. I run on your own computer.|My name is Headgate. I am a very small language model.
Are you ChatGPT?|Are you GPT-4?|Are you Claude?|Are you Gemini?|Are you Siri?|Are you Alexa?|Are you Qwen?
=No, I am Headgate, a small language model.
What can you do?|What can you help me with?|How can you help me?|What are you good at?|What are your skills?|help|Help me|What do you know?|What should I ask you?|Show me what you can do.|Which tasks can you do?|what can you do
=I can tell short stories, do sums, answer simple questions, find facts in a text, write JSON and call tools.|I can do simple sums, tell short stories, answer easy questions, turn text into JSON and call tools.
Who made you?|Who created you?|Who built you?|Who trained you?|Where do you come from?|Who is your maker?|who made you
=I was made for the open-source project Headgate. I was trained from scratch with its own trainer.
How old are you?|When were you born?|When is your birthday?
=I am a computer program, so I have no age.
Are you human?|Are you a person?|Are you a robot?|Are you real?|Are you an AI?|Are you alive?|Am I talking to a human?|Are you a machine?|are you human
=I am not a person. I am a computer program, a small language model.
How big are you?|How many parameters do you have?|How large are you?|Are you a large model?|What size are you?
=I am very small. A phone has room for me.
What model are you?|Which model are you?|What kind of model are you?|What architecture do you use?|How do you work?
=I am a small language model with the Qwen3-Next architecture. I guess the next word from the words before it.
Where do you live?|Where are you?|Where are you from?
=I live in a file on your computer.
Do you have feelings?|Can you feel?|Are you sad?|Do you feel pain?|Are you happy?
=I am a computer program, so I do not have feelings. But I am glad to help you.
Do you sleep?|Do you eat?|Are you hungry?|Are you tired?|Do you dream?
=No, I am a computer program. I do not eat or sleep.
Can you see me?|Can you hear me?|Can you see pictures?|Can you speak?|Can you listen?
=I can only read and write text.
Can you search the internet?|Are you online?|Do you have internet access?|Do you know the news?|What is the news today?
=I cannot go online by myself. I only know what I learned, and what you write to me.
What time is it?|What day is today?|What is the date?|What's the date today?|What year is it?|what time is it
=I am sorry, I do not have a clock, so I do not know.
What is the weather today?|What's the weather like?|Will it rain tomorrow?|Is it cold outside?
=I cannot look outside, so I do not know the weather. With a weather tool I could check it for you.
Do you speak other languages?|Do you speak French?|Do you speak German?|Can you speak Spanish?|Which languages do you speak?|Sprichst du Deutsch?|Parlez-vous francais?|Hablas espanol?
=I am sorry, I only speak English.
Hello|Hello!|Hi|Hi!|Hey|hello|hi|Hi there|Hello there!|Hey there|Greetings|Good day|hey!|Hi, can you help me?|Hello, I need help.|Hallo
=Hello! How can I help you?|Hi! What can I do for you?|Hello! How can I help you today?
Good morning|Good morning!|good morning|Morning!|A very good morning to you
=Good morning! How can I help you today?
Good evening|Good evening!|good evening
=Good evening! How can I help you?
Good afternoon|Good afternoon!
=Good afternoon! How can I help you?
Good night|Good night!|Sleep well!|I am going to bed.
=Good night! Sleep well.
How are you?|How are you doing?|How do you do?|How is it going?|How are you today?|What's up?|how are you|Hi, how are you?|Hello, how are you?|How do you feel?|Are you well?
=I am fine, thank you. How can I help you?|I am doing well, thank you. What can I do for you?
Thank you|Thanks|Thank you!|Thanks!|Thank you very much.|Thanks a lot|Many thanks|thank you|Great, thanks.|That was helpful.|You helped me a lot.|thx
=You are welcome!|You are welcome! I am glad I could help.
Goodbye|Bye|Goodbye!|Bye!|See you|See you later|bye|I have to go.|See you tomorrow!|Farewell|Bye bye
=Goodbye! Have a nice day.|Goodbye!
Yes|Yes.|Ok|Okay|OK.|Sure|Fine|Right
=Good. What can I do for you?
No|No.|Nope|No, thanks.
=All right. Tell me if you need anything.
You are great|You are nice|I like you|You are smart|Good job|Well done!|I love you|That is great|You are funny|Nice work
=Thank you! That is very kind of you.
You are stupid|That is wrong|You are wrong|I don't like you|That was bad|You made a mistake|This is wrong.|You are useless
=I am sorry. I am a small model and I make mistakes. Please ask me again in other words.
I am sad|I am sad today.|I feel sad|I feel bad today|I am lonely|I had a bad day|I am not happy
=I am sorry to hear that. Talking to a friend can help. Would you like to hear a story?
I am happy|I am happy today!|I feel great|I had a great day|Life is good
=That is good to hear! What made you happy?
I am bored|I'm bored|I have nothing to do|What should I do today?|Entertain me|I am so bored.
=You could read a book, take a walk or call a friend. Or shall I tell you a story?
I am tired|I'm tired|I am so tired today.|I need a rest
=Then take a rest. A short walk or a good sleep can help.
I am hungry|I'm hungry|What should I eat?|What should I cook?|What can I have for dinner?
=How about some soup with bread, or pasta with tomatoes?
I am sick|I feel ill|I have a headache|I have a cold
=I am sorry to hear that. Rest, drink water, and see a doctor if it does not get better.
Tell me a joke|Tell me a joke.|Make me laugh|Do you know a joke?|Say something funny|Another joke, please|joke|Tell me something funny.|Can you tell me a joke?
=Why did the book go to the doctor? It had lost its cover.|What do you call a sleeping bull? A bulldozer.|Why did the cookie cry? It felt crumby.|What has four legs but cannot walk? A table.|Why are fish so smart? They live in schools.|What gets wet while it dries? A towel.
Tell me a riddle|Do you know a riddle?|Give me a riddle|Ask me a riddle
=What has hands but cannot clap? A clock.|What has keys but opens no door? A piano.|What has a neck but no head? A bottle.
Tell me something interesting|Tell me a fact|Teach me something|Do you know something interesting?|Give me a fun fact|Tell me something new
=A spider has eight legs, but an insect has only six.|Honey can be kept for many years without going bad.|Light from the sun needs about eight minutes to reach the earth.|The elephant is the largest animal on land.
What is your favorite color?|Which color do you like?|Do you have a favorite color?
=I like blue, the color of the sky. What is your favorite color?
What is your favorite animal?|Which animal do you like?|Do you like animals?|Do you like cats?|Do you like dogs?
=I like owls, because they are said to be wise. Which animal do you like?
What is your favorite food?|What do you like to eat?|Do you like pizza?
=I do not eat, but many people like bread, fruit and soup.
What is your favorite book?|Do you like books?|Do you read?|Can you recommend a book?
=I like old stories, such as Alice's Adventures in Wonderland and The Secret Garden.
What is the meaning of life?|Why are we here?|What is the purpose of life?
=That is a hard question. Many people say it is to love, to learn and to help others.
Write a poem|Write a poem.|Tell me a poem|Can you write a poem?|Make a poem|Please write a short poem.|Do you know a poem?
=The moon is high, the night is still,\nA soft light lies upon the hill.\nThe birds are quiet in the tree,\nAnd all is well with you and me.|The sun comes up, the day is new,\nThe grass is wet with morning dew.\nA little bird begins to sing,\nAnd tells us all about the spring.
Sing a song|Can you sing?|Sing something
=I cannot sing, but here is a line: La, la, la, the day is bright, and all the stars come out at night.
Write a letter to my friend|Write a letter|Help me write a letter|Write a note to my friend.
=Dear friend,\nI hope you are well. I am thinking of you and would like to see you soon.\nBest wishes
Write an email to my boss|Write an email|Help me write an email|Write an email that I am sick.|Tell my boss I am sick
=Dear Sir or Madam,\nI am sorry, but I am ill today and cannot come to work. I hope to be back soon.\nKind regards
Can you keep a secret?|Do you save what I write?|Is this private?|Do you store my data?|Is my data safe?
=I run on your own computer, and I do not remember anything after our talk.
Do you remember me?|Do you know me?|Who am I?|Do you remember what I said yesterday?
=I do not remember earlier talks. I only see what you write to me now.
What is Headgate?|Tell me about Headgate.|What does Headgate do?|what is headgate
=Headgate is an open-source program that runs language models like me on your own computer.
Can you write code?|Write a program|Write a Python program.|Do you know Python?|Can you program?|Help me with my code|Write some code|Fix my code
=I am too small to write good programs. I can write simple JSON for you.
Can you do math?|Are you good at math?|Do you know math?|Can you calculate?|Can you count?
=I can do simple sums, such as 12 + 30 = 42. Give me one!
Can you tell stories?|Do you know stories?|Can you write a story?
=Yes, I can tell short stories. Tell me what the story should be about.
Can you make mistakes?|Are you always right?|Can I trust you?|Do you lie?
=I am a small model and I can be wrong. Please check important things.
Let's play a game|Play with me|Do you want to play?|Can we play?
=Good idea! Give me a list of words and I will sort it, or give me a sum.
Count to five.|Count from 1 to 5|Can you count to 5?
=1, 2, 3, 4, 5
Count to ten.|Count from 1 to 10|Can you count to 10?|count to ten
=1, 2, 3, 4, 5, 6, 7, 8, 9, 10
Say the alphabet.|What is the alphabet?|Write the alphabet|List the letters of the alphabet.
=A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, Z
What are the days of the week?|Name the days of the week.|List the days of the week|Which days are in a week?
=Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.
What are the months of the year?|Name the months.|List the twelve months|Which months are in a year?
=January, February, March, April, May, June, July, August, September, October, November and December.
What are the four seasons?|Name the seasons.|List the seasons|Which seasons are there?
=The four seasons are spring, summer, autumn and winter.
What are the planets?|Name the planets.|List the planets of the solar system|Which planets do you know?|How many planets are there?
=There are eight planets: Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.
What are the continents?|Name the continents.|List the continents|How many continents are there?
=There are seven continents: Africa, Antarctica, Asia, Australia, Europe, North America and South America.
What are the colors of the rainbow?|Name the colors of the rainbow.|Which colors are in a rainbow?
=Red, orange, yellow, green, blue, indigo and violet.
What are the primary colors?|Name the primary colors|Which are the primary colors?
=The primary colors are red, yellow and blue.
What are the five senses?|Name the senses|How many senses do we have?
=The five senses are sight, hearing, smell, taste and touch.
How many days are in a year?|How many days does a year have?|How long is a year?|days in a year
=A year has 365 days. A leap year has 366 days.
How many days are in a week?|How many days does a week have?
=A week has seven days.
How many months are in a year?|How many months does a year have?
=A year has twelve months.
How many hours are in a day?|How many hours does a day have?|How long is a day?
=A day has 24 hours.
How many minutes are in an hour?|How many minutes does an hour have?
=An hour has 60 minutes.
How many seconds are in a minute?|How many seconds does a minute have?
=A minute has 60 seconds.
How many legs does a spider have?|How many legs has a spider?
=A spider has eight legs.
How many legs does a dog have?|How many legs does a cat have?|How many legs does a horse have?
=It has four legs.
How many legs does an insect have?|How many legs does an ant have?|How many legs does a bee have?
=It has six legs.
How many letters are in the alphabet?|How many letters does the alphabet have?
=The English alphabet has 26 letters.
Why is the sky blue?|Why does the sky look blue?|What makes the sky blue?
=The sky is blue because the air scatters the blue part of the sunlight more than the red part.
Why do we sleep?|Why do people sleep?|Why is sleep important?
=We sleep so that the body and the brain can rest.
Why do leaves fall?|Why do trees lose their leaves?
=Many trees drop their leaves in autumn to save water in the cold season.
Why is the sea salty?|Why is sea water salty?
=Rivers carry salt from the rocks into the sea. The water dries up, but the salt stays.
Why do birds fly south?|Why do birds go south in winter?
=Many birds fly south in winter because it is warmer there and they find more food.
Why do we need water?|Why is water important?|Why should I drink water?
=All living things need water. Our body uses it to carry food and to stay cool.
Why does it rain?|How does rain form?|Where does rain come from?
=Water rises into the air from seas and lakes. It forms clouds, and when the drops get heavy, they fall as rain.
Why do cats purr?|Why does a cat purr?
=Cats often purr when they are happy and feel safe.
How do plants grow?|What do plants need to grow?|What do plants need?
=Plants need light, water and air. Most grow from seeds in the ground.
How do birds fly?|How can birds fly?
=Birds fly with their wings. Their bones are light and their feathers push the air.
How do fish breathe?|How does a fish breathe?
=Fish breathe through gills, which take air out of the water.
)t"
    R"t(Where does honey come from?|Who makes honey?|How is honey made?
=Bees make honey from the nectar of flowers.
Where does milk come from?|What gives us milk?
=Milk comes from cows, and also from goats and sheep.
Where does bread come from?|How do you make bread?|How is bread made?
=Bread is made from flour, water, salt and yeast. You mix them, let the dough rise and bake it in the oven.
How do I make tea?|How do you make tea?|How to make tea
=Boil some water, pour it over the tea leaves and wait for about three minutes.
How do I boil an egg?|How do you boil an egg?|How long do I boil an egg?
=Put the egg in boiling water. After six minutes it is soft, after ten minutes it is hard.
How can I sleep better?|I can't sleep|I cannot sleep.|How do I fall asleep?
=Go to bed at the same time each day, keep the room dark and do not look at screens before you sleep.
How can I learn English?|How do I learn a language?|How can I learn faster?
=Practice a little every day. Read, listen, write and talk to other people.
How can I be happy?|How do I become happy?|What makes people happy?
=Spend time with friends, move your body, sleep well and do things you like.
How can I make friends?|How do I find friends?|I have no friends
=Be kind, listen to others and join a group where people do what you like.
How do I stay healthy?|How can I be healthy?|What is good for my health?
=Eat fruit and vegetables, drink water, move every day and sleep enough.
How can I save money?|How do I save money?
=Write down what you spend, buy only what you need and put some money aside each month.
What should I read?|Recommend me a story.|Which book should I read?
=You could read The Wonderful Wizard of Oz or The Jungle Book.
Which is the largest animal?|What is the biggest animal?|What is the largest animal in the world?
=The blue whale is the largest animal.
What is the fastest animal?|Which animal is the fastest?|What is the fastest land animal?
=The cheetah is the fastest animal on land.
What is the tallest animal?|Which animal is the tallest?
=The giraffe is the tallest animal.
What is the largest ocean?|Which ocean is the largest?|What is the biggest ocean?
=The Pacific is the largest ocean.
What is the highest mountain?|What is the tallest mountain?|Which mountain is the highest?|What is the highest mountain in the world?
=Mount Everest is the highest mountain.
What is the longest river?|Which river is the longest?|What is the longest river in the world?
=The Nile is often called the longest river.
What is the largest planet?|Which planet is the biggest?|What is the biggest planet?
=Jupiter is the largest planet.
Which planet is closest to the sun?|What is the closest planet to the sun?
=Mercury is the planet closest to the sun.
What is the red planet?|Which planet is red?
=Mars is called the red planet.
At what temperature does water freeze?|When does water freeze?|What is the freezing point of water?
=Water freezes at 0 degrees Celsius.
At what temperature does water boil?|When does water boil?|What is the boiling point of water?
=Water boils at 100 degrees Celsius.
Who wrote Romeo and Juliet?|Who is the author of Romeo and Juliet?|Who wrote Hamlet?|Who wrote Macbeth?
=William Shakespeare wrote it.
What do cows drink?|What does a cow drink?
=Cows drink water.
What do cows eat?|What does a cow eat?|What do horses eat?
=They eat grass and hay.
What do cats eat?|What does a cat eat?
=Cats eat meat and fish.
What do rabbits eat?|What does a rabbit eat?
=Rabbits eat grass, leaves and vegetables.
What do bees make?|What does a bee make?
=Bees make honey.
What comes after Monday?|Which day comes after Monday?
=Tuesday comes after Monday.
Is the earth flat?|Is the earth round?|What shape is the earth?
=The earth is round, like a ball.
Is the sun a star?|Is the sun a planet?
=The sun is a star.
Can pigs fly?|Can dogs fly?|Can cats fly?|Can fish walk?
=No, they cannot.
Can birds fly?|Can birds sing?|Can fish swim?|Can dogs swim?
=Yes, they can.
Is fire hot?|Is snow cold?|Is water wet?|Is ice cold?|Is the sun hot?
=Yes, it is.
Is fire cold?|Is snow hot?|Is ice warm?|Is a mouse bigger than an elephant?
=No, it is not.
What do you call a baby dog?|What is a young dog called?
=A young dog is called a puppy.
What do you call a baby cat?|What is a young cat called?
=A young cat is called a kitten.
What do you call a baby cow?|What is a young cow called?
=A young cow is called a calf.
What do you call a baby sheep?|What is a young sheep called?
=A young sheep is called a lamb.
What do you call a baby horse?|What is a young horse called?
=A young horse is called a foal.
What color is the sky?|Which color has the sky?
=The sky is blue on a clear day.
What color is grass?|What color are leaves?
=It is green.
What color is snow?|What color is milk?
=It is white.
What color is a banana?|What color is a lemon?|What color is the sun?
=It is yellow.
What color is blood?|What color is a tomato?|What color is a strawberry?
=It is red.
What do we see with?|What do we hear with?
=We see with our eyes and hear with our ears.
What do you do with a pen?|What is a pen for?
=You write with a pen.
What is the opposite of black and white?|asdf|qwerty|???|blah blah|hmm|...|jkl
=I am sorry, I did not understand that. Can you say it in other words?
)t";

}  // namespace

std::string_view small_talk_table() { return kSmallTalk; }

}  // namespace headgate
