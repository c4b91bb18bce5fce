//! Names and places of several countries, and e-mail addresses for the names.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

use crate::cli::demo::random::Random;

/// A country.
pub(super) struct Country {
    pub(super) language: &'static str,
    pub(super) places: &'static [&'static str],
    pub(super) first: &'static [&'static str],
    pub(super) last: &'static [&'static str],
}

pub(super) const COUNTRIES: [Country; 11] = [
    Country {
        language: "en",
        places: &["Leeds", "Bristol"],
        first: &[
            "Alice",
            "Owen",
            "Priscilla",
            "Siân",
            "Callum",
            "Harriet",
            "Desmond",
            "Imogen",
            "Rhys",
            "Bethan",
        ],
        last: &[
            "Whitaker",
            "Thornton",
            "Llewellyn",
            "O'Neill",
            "Marsh",
            "Pemberton",
            "Fletcher",
            "Ashworth",
        ],
    },
    Country {
        language: "de",
        places: &["Hamburg", "Köln"],
        first: &[
            "Jürgen",
            "Anneliese",
            "Matthias",
            "Heike",
            "Sören",
            "Ulrike",
            "Björn",
            "Käthe",
            "Lukas",
            "Mareike",
        ],
        last: &[
            "Müller",
            "Weiß",
            "Brandt",
            "Schröder",
            "Köhler",
            "Lindner",
            "Vogel",
            "Jäger",
        ],
    },
    Country {
        language: "pl",
        places: &["Kraków", "Gdańsk"],
        first: &[
            "Łukasz",
            "Agnieszka",
            "Paweł",
            "Małgorzata",
            "Tomasz",
            "Zofia",
            "Michał",
            "Elżbieta",
            "Kacper",
        ],
        last: &[
            "Wójcik",
            "Kowalczyk",
            "Zieliński",
            "Szymańska",
            "Dąbrowski",
            "Nowak",
            "Kaczmarek",
            "Król",
        ],
    },
    Country {
        language: "en",
        places: &["Lagos", "Leeds"],
        first: &[
            "Ngozi",
            "Chinedu",
            "Adaeze",
            "Babatunde",
            "Folasade",
            "Emeka",
            "Yetunde",
            "Tunde",
            "Ifeoma",
        ],
        last: &[
            "Okafor", "Adeyemi", "Obi", "Eze", "Balogun", "Nwosu", "Olawale", "Ibekwe",
        ],
    },
    Country {
        language: "en",
        places: &["Pune", "Bristol"],
        first: &[
            "Priya", "Arjun", "Lakshmi", "Rohan", "Ananya", "Vikram", "Meera", "Sanjay", "Kavita", "Imran",
        ],
        last: &[
            "Deshpande",
            "Iyer",
            "Kulkarni",
            "Sharma",
            "Banerjee",
            "Rao",
            "Khan",
            "Mehta",
        ],
    },
    Country {
        language: "tr",
        places: &["İzmir"],
        first: &[
            "Elif", "Mehmet", "İpek", "Çağlar", "Zeynep", "Oğuz", "Gülşen", "Emre", "Defne",
        ],
        last: &["Yılmaz", "Öztürk", "Şahin", "Aydın", "Kılıç", "Demir", "Güneş"],
    },
    Country {
        language: "es",
        places: &["Valencia", "Bogotá"],
        first: &[
            "Lucía",
            "Andrés",
            "Begoña",
            "Íñigo",
            "Ximena",
            "Joaquín",
            "Marisol",
            "Rubén",
            "Valentina",
        ],
        last: &[
            "García Ruiz",
            "Ibáñez",
            "Peña",
            "Castaño",
            "Mendoza",
            "Quintero",
            "Fuentes",
        ],
    },
    Country {
        language: "fr",
        places: &["Lyon"],
        first: &[
            "Zoé", "Étienne", "Maëlle", "Loïc", "Aïcha", "Bastien", "Océane", "Rémi", "Fatou",
        ],
        last: &[
            "Lefèvre",
            "Garnier",
            "Chevalier",
            "Bélanger",
            "Diallo",
            "Moreau",
            "Benali",
        ],
    },
    Country {
        language: "vi",
        places: &["Đà Nẵng", "Hamburg"],
        first: &["Linh", "Minh", "Thảo", "Quân", "Hương", "Đức", "Trang", "Nam"],
        last: &["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng"],
    },
    Country {
        language: "sv",
        places: &["Malmö"],
        first: &[
            "Åsa",
            "Gustav",
            "Linnéa",
            "Torbjörn",
            "Maja",
            "Sigrid",
            "Nils",
            "Ebba",
        ],
        last: &["Lindqvist", "Sjöberg", "Åkesson", "Holm", "Bergström", "Ek"],
    },
    Country {
        language: "en",
        places: &["Leeds", "Osaka"],
        first: &[
            "Haruka", "Kenji", "Mei", "Wei", "Sakura", "Takumi", "Xiaoling", "Yusuf", "Layla", "Omar",
        ],
        last: &[
            "Tanaka", "Chen", "Suzuki", "Zhang", "Nakamura", "Li", "Haddad", "Rahman",
        ],
    },
];

/// A new name, and its e-mail address.
pub(super) fn name(
    random: &mut Random,
    country: &Country,
    taken: &mut BTreeSet<String>,
) -> (&'static str, &'static str, String) {
    let (mut first, mut last) = (*random.pick(country.first), *random.pick(country.last));
    let mut tries = 0;
    loop {
        let local = format!("{}.{}", ascii(first), ascii(last));
        // After many attempts the names of the country are used up. Then the address gets a number.
        let local = if tries > 40 {
            format!("{local}{}", tries - 39)
        } else {
            local
        };
        if taken.insert(local.clone()) {
            return (first, last, format!("{local}@acme.example"));
        }
        tries += 1;
        if tries <= 40 {
            (first, last) = (*random.pick(country.first), *random.pick(country.last));
        }
    }
}

/// The name in ASCII letters, as part of an e-mail address.
fn ascii(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for letter in name.nfd().flat_map(char::to_lowercase) {
        match letter {
            'a'..='z' => text.push(letter),
            ' ' => text.push('-'),
            // NFD does not decompose these letters.
            'đ' => text.push('d'),
            'ı' => text.push('i'),
            'ł' => text.push('l'),
            'ø' => text.push('o'),
            'ß' => text.push_str("ss"),
            // An accent, which NFD separates from its letter, or an apostrophe.
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_made_of_ascii_letters_for_every_name_there_is() {
        for country in &COUNTRIES {
            for name in country.first.iter().chain(country.last) {
                let local = ascii(name);
                let letters = name.chars().filter(|letter| letter.is_alphabetic()).count();
                assert!(
                    local.is_ascii() && local.len() >= letters,
                    "{name} became {local}"
                );
            }
        }
    }
}
