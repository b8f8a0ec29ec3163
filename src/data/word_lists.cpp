// The words that the generator draws from; the second list of a pool is kept for the evaluation.
#include "data/word_pools.h"

namespace headgate {

const WordLists& word_lists(WordPool pool) {
  static const WordLists lists[] = {
      // name
      {"Adam Alice Amy Anna Arthur Ben Bella Carl Clara Daisy Daniel David Diana Dora Edith Eli "
       "Ella Emma Erik Eva Felix Fiona Frank Fred George Grace Greta Hana Hannah Henry Hugo Ida "
       "Iris Ivan Ivy Jack Jacob Jane Jonas Julia June Karl Kate Kofi Lara Laura Lena Leo Lily "
       "Linda Louis Lucas Lucy Luke Marco Maria Mark Mary Max Maya Mia Mila Milo Nadia Nina Noah "
       "Nora Olga Oliver Olive Omar Oscar Otto Paul Paula Peter Philip Pia Quinn Rachel Ralph "
       "Rita Robert Rosa Rose Ruth Sally Sam Sara Simon Sofia Stella Sven Tara Theo Thomas Tim "
       "Tina Tom Toby Uma Vera Victor Walter Will Yara Yusuf Zara Zoe Amir Bruno Carla Chen "
       "Elena Farid Hassan Ingrid Jorge Kenji Leila Mei Nikolai Priya Rahul Samir Tomas Wei",
       "Albert Bianca Cora Dennis Elsa Gustav Helen Isaac Jenny Kevin Lisa Martin Naomi Oskar "
       "Petra Roland Susan Vivian"},
      // city
      {"Athens Berlin Boston Cairo Delhi Denver Dublin Geneva Hamburg Helsinki Istanbul Kyoto "
       "Lagos Lima Lisbon London Lyon Madrid Manila Melbourne Miami Milan Montreal Mumbai Munich "
       "Nairobi Naples Osaka Oslo Oxford Paris Perth Portland Prague Rome Seattle Seoul Shanghai "
       "Stockholm Sydney Tokyo Toronto Turin Valencia Vienna Warsaw Zurich Austin Bergen Bristol "
       "Chicago Dallas Florence Glasgow Krakow Leeds Porto Quito Riga Sofia Tampa York",
       "Antwerp Bogota Cologne Dresden Edinburgh Ghent Houston Jakarta Memphis Nice Salzburg "
       "Tunis"},
      // thing
      {"apple ball basket bell blanket book bottle bowl box bread brush bucket button cake "
       "candle cap card chair clock coat coin cup doll drum fan feather flag flute fork glove "
       "hammer hat jar kettle key kite knife ladder lamp letter map marble medal mirror mug "
       "needle nut paper pear pen pencil picture pillow pipe plate plum pot puzzle radio ribbon "
       "ring rock rope rug scarf shell shirt shoe soap sock spoon stamp star stick stone sweater "
       "table ticket toy umbrella vase violin watch wheel whistle",
       "barrel bracelet camera compass helmet lantern magnet necklace paddle saddle teapot "
       "trumpet"},
      // animal
      {"ant bear badger bat beaver bee bird bull butterfly camel cat chicken cow crab crow deer "
       "dog dolphin donkey duck eagle elephant fish fox frog giraffe goat goose hare hedgehog "
       "hen horse kangaroo kitten lamb lion lizard mole monkey mouse otter owl ox panda parrot "
       "peacock penguin pig pony puppy rabbit raven robin rooster seal sheep snail snake sparrow "
       "spider squirrel swan tiger toad tortoise turkey turtle wolf",
       "antelope cheetah flamingo heron jackal koala ostrich pigeon raccoon walrus"},
      // place
      {"attic barn basement bathroom bedroom cellar garage garden hall hallway kitchen library "
       "market museum office park playground school shed station stable studio yard",
       "balcony bakery chapel courtyard harbor pantry theater workshop"},
      // fruit
      {"apples bananas beans books boxes buttons cakes candles cards cherries coins cookies eggs "
       "figs flowers grapes lemons marbles melons muffins nuts oranges peaches pears pencils "
       "plums potatoes shells stamps stickers stones tomatoes toys tulips",
       "apricots balloons biscuits bottles limes mangos ribbons roses"},
      // key
      {"age animal city code color count country date day email fruit height id level month name "
       "number owner phone price score size status team title type weight year",
       "brand grade hobby nickname language planet street zone"},
      // job
      {"actor artist baker barber builder carpenter clerk cook dancer dentist doctor driver "
       "engineer farmer fisherman gardener judge lawyer mechanic miner nurse painter pilot "
       "plumber poet postman sailor singer soldier tailor teacher waiter writer",
       "architect chemist librarian musician shepherd weaver"},
      // room
      {"kitchen bedroom bathroom hallway office garage garden attic cellar nursery library",
       "balcony pantry workshop"},
      // color
      {"red blue green yellow black white brown orange pink purple gray silver golden violet", ""},
      // day
      {"Monday Tuesday Wednesday Thursday Friday Saturday Sunday", ""},
      // month
      {"January February March April May June July August September October November December", ""},
  };
  return lists[static_cast<size_t>(pool)];
}

}  // namespace headgate
