"""What the sample conversations of the quickstart are about: tools, how people ask for them, and what no tool serves.

Data only. `preferences.py` turns it into preference pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

Value = str | int


@dataclass(frozen=True)
class Slot:
    """A required argument of a tool: how a person says it or leaves it open, how an assistant asks, possible values."""

    name: str
    phrase: str
    vague: str
    questions: tuple[str, ...]
    values: tuple[Value, ...]

    @property
    def json_type(self) -> str:
        return "integer" if isinstance(self.values[0], int) else "string"


@dataclass(frozen=True)
class Tool:
    """A function with its slots, the requests it serves, and what it does in words (`I can't {action}`)."""

    name: str
    description: str
    action: str
    slots: tuple[Slot, ...]
    requests: tuple[str, ...]

    def schema(self) -> dict[str, object]:
        properties = {slot.name: {"type": slot.json_type} for slot in self.slots}
        parameters = {"type": "object", "properties": properties, "required": [slot.name for slot in self.slots]}
        return {"name": self.name, "description": self.description, "parameters": parameters}


DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CITIES = ("Oslo", "Lisbon", "Berlin", "Nairobi", "Kyoto", "Toronto", "Lima", "Dublin", "Vienna", "Seoul")
TIMES = ("6:30 am", "7 am", "8:15 am", "9 am", "noon", "2 pm", "4:45 pm", "6 pm", "8 pm")
PEOPLE = ("Maria", "Tom", "Aisha", "Kenji", "Olga", "David", "Priya", "Lucas")
ROOMS = ("the kitchen", "the bedroom", "the living room", "the office", "the bathroom")

DAY = Slot("day", "on {}", "on some day", ("Which day would you like?", "What day should it be?"), DAYS)
TIME = Slot("time", "at {}", "at some time", ("At what time?", "What time would suit you?"), TIMES)
ORIGIN = Slot(
    "origin", "from {}", "from some city", ("Where will you leave from?", "Which city do you start in?"), CITIES
)
DESTINATION = Slot(
    "destination", "to {}", "to some city", ("Where do you want to go?", "What is your destination?"), CITIES
)
CITY = Slot("city", "in {}", "in some city", ("Which city do you mean?", "In which city?"), CITIES)
ROOM = Slot("room", "in {}", "in some room", ("In which room?", "Which room do you mean?"), ROOMS)
RECIPIENT = Slot("recipient", "to {}", "to some friend", ("Who should receive it?", "Who is it for?"), PEOPLE)

TOOLS = (
    Tool(
        "book_table",
        "Reserve a table at a restaurant.",
        "book a table",
        (
            Slot(
                "restaurant",
                "at {}",
                "at some restaurant",
                ("Which restaurant?", "At which restaurant?"),
                ("Nopa", "Luigi's", "Le Jardin", "Sakura", "Casa Verde"),
            ),
            DAY,
            Slot(
                "people",
                "for {}",
                "for some people",
                ("How many people will come?", "For how many people?"),
                (2, 3, 4, 5, 6, 8),
            ),
        ),
        (
            "Book a table{people}{restaurant}{day}",
            "I'd like to reserve a table{restaurant}{people}{day}",
            "Get us a table{day}{restaurant}{people}",
            "Can you get us a table{restaurant}{day}{people}?",
        ),
    ),
    Tool(
        "get_weather",
        "Get the weather forecast for a city.",
        "look up the weather",
        (CITY, DAY),
        (
            "Tell me the weather{city}{day}",
            "I need the weather forecast{day}{city}",
            "Check the weather{city}{day}",
            "What will the weather be{city}{day}?",
            "How is the weather{city}{day}?",
        ),
    ),
    Tool(
        "set_alarm",
        "Set an alarm clock.",
        "set an alarm",
        (TIME, DAY),
        (
            "Set an alarm{time}{day}",
            "I need an alarm{day}{time}",
            "Wake me with an alarm{time}{day}",
            "Could you set an alarm{day}{time}?",
        ),
    ),
    Tool(
        "send_email",
        "Send an email.",
        "send an email",
        (
            RECIPIENT,
            Slot(
                "subject",
                "about {}",
                "about some topic",
                ("What is it about?", "What should the subject be?"),
                ("the budget", "the trip", "our lease", "the new logo", "the invoice", "lunch"),
            ),
        ),
        (
            "Send an email{recipient}{subject}",
            "I want to send an email{subject}{recipient}",
            "Write and send an email{recipient}{subject}",
            "Can you send an email{recipient}{subject}?",
        ),
    ),
    Tool(
        "book_flight",
        "Book a flight between two cities.",
        "book a flight",
        (ORIGIN, DESTINATION, DAY),
        (
            "Book a flight{origin}{destination}{day}",
            "I need a flight{destination}{origin}{day}",
            "Get me on a flight{day}{origin}{destination}",
            "Is there a flight{origin}{destination}{day}?",
        ),
    ),
    Tool(
        "find_recipe",
        "Find a recipe.",
        "find a recipe",
        (
            Slot(
                "ingredient",
                "with {}",
                "with some ingredient",
                ("With which ingredient?", "What should be in it?"),
                ("lentils", "spinach", "salmon", "pumpkin", "rice", "tofu"),
            ),
            Slot(
                "minutes",
                "under {} minutes",
                "in some time",
                ("How many minutes do you have?", "How long may it take?"),
                (15, 20, 30, 45, 60),
            ),
        ),
        (
            "Find a recipe{ingredient}{minutes}",
            "I'm looking for a recipe{minutes}{ingredient}",
            "Suggest a recipe{ingredient}{minutes}",
            "What can I cook{ingredient}{minutes}?",
        ),
    ),
    Tool(
        "order_taxi",
        "Order a taxi.",
        "order a taxi",
        (
            Slot(
                "pickup",
                "from {}",
                "from some address",
                ("Where should it pick you up?", "What is the pickup address?"),
                ("the Hilton", "12 Oak Street", "the museum", "City Hall", "my hotel"),
            ),
            Slot(
                "dropoff",
                "to {}",
                "to some address",
                ("Where should it take you?", "What is the drop-off address?"),
                ("the airport", "the harbour", "Central Station", "the stadium", "the clinic"),
            ),
            TIME,
        ),
        (
            "Order a taxi{pickup}{dropoff}{time}",
            "I need a taxi{time}{pickup}{dropoff}",
            "Call a taxi{dropoff}{pickup}{time}",
            "Can a taxi take me{pickup}{dropoff}{time}?",
        ),
    ),
    Tool(
        "play_music",
        "Play music on a speaker.",
        "play music",
        (
            Slot(
                "artist",
                "by {}",
                "by some artist",
                ("Which artist?", "By which artist?"),
                ("Queen", "Mozart", "Adele", "Miles Davis", "ABBA", "Björk"),
            ),
            ROOM,
        ),
        (
            "Play some music{artist}{room}",
            "I'd love to hear music{room}{artist}",
            "Put on music{artist}{room}",
            "Can you play music{room}{artist}?",
        ),
    ),
    Tool(
        "set_heating",
        "Set the heating of a room.",
        "set the heating",
        (
            ROOM,
            Slot(
                "degrees",
                "to {} degrees",
                "to some degrees",
                ("How many degrees?", "To what temperature?"),
                (17, 18, 19, 20, 21, 22, 23),
            ),
        ),
        (
            "Set the heating{room}{degrees}",
            "I want the heating{room} set{degrees}",
            "Turn the heating{room}{degrees}",
            "Could you set the heating{room}{degrees}?",
        ),
    ),
    Tool(
        "track_parcel",
        "Track a parcel.",
        "track a parcel",
        (
            Slot(
                "carrier",
                "sent with {}",
                "sent with some carrier",
                ("Which carrier?", "Who ships it?"),
                ("DHL", "UPS", "FedEx", "PostNord", "GLS"),
            ),
            Slot(
                "number",
                "under number {}",
                "under some number",
                ("What is the tracking number?", "Which number does it have?"),
                (48213, 90177, 35520, 71846, 26093),
            ),
        ),
        (
            "Track my parcel{carrier}{number}",
            "I'm waiting for a parcel{number}{carrier}, so please track it",
            "Find my parcel{carrier}{number}",
            "Where is my parcel{carrier}{number}?",
        ),
    ),
    Tool(
        "book_hotel",
        "Book a hotel room.",
        "book a hotel",
        (
            CITY,
            Slot(
                "nights",
                "for {} nights",
                "for some nights",
                ("How many nights will you stay?", "For how many nights?"),
                (2, 3, 4, 5, 7, 10),
            ),
            DAY,
        ),
        (
            "Book a hotel{city}{nights}{day}",
            "I need a hotel{day}{city}{nights}",
            "Reserve a hotel{nights}{city}{day}",
            "Is there a hotel{city}{nights}{day}?",
        ),
    ),
    Tool(
        "add_meeting",
        "Add a meeting to the calendar.",
        "add a meeting",
        (Slot("guest", "with {}", "with some colleague", ("Who will you meet?", "With whom?"), PEOPLE), DAY, TIME),
        (
            "Add a meeting{guest}{day}{time}",
            "I have a meeting{day}{time}{guest}, so please add it",
            "Schedule a meeting{guest}{time}{day}",
            "Can you plan a meeting{day}{guest}{time}?",
        ),
    ),
    Tool(
        "transfer_money",
        "Transfer money to a person.",
        "transfer money",
        (
            RECIPIENT,
            Slot(
                "euros",
                "in the amount of {} euros",
                "in some amount",
                ("How many euros?", "Which amount in euros?"),
                (20, 35, 50, 80, 120, 250),
            ),
        ),
        (
            "Transfer money{recipient}{euros}",
            "I have to transfer money{euros}{recipient}",
            "Make a money transfer{recipient}{euros}",
            "Can you transfer money{recipient}{euros}?",
        ),
    ),
    Tool(
        "translate_text",
        "Translate a text.",
        "translate a text",
        (
            Slot(
                "text",
                'that says "{}"',
                "that says some words",
                ("What does the text say?", "Which text?"),
                ("good morning", "thank you", "see you soon", "no smoking", "mind the gap"),
            ),
            Slot(
                "language",
                "into {}",
                "into some language",
                ("Into which language?", "Which language do you need?"),
                ("Spanish", "Swahili", "Korean", "French", "Arabic"),
            ),
        ),
        (
            "Translate a text{text}{language}",
            "I need to translate a text{language}{text}",
            "Translate a sign{text}{language}",
            "How is a text translated{text}{language}?",
        ),
    ),
)

# (what the person wants done, in the person's words; the same in the assistant's words)
UNSERVED = (
    ("cancel my gym membership", "cancel a gym membership"),
    ("water the plants on the balcony", "water plants"),
    ("order a pizza with mushrooms", "order a pizza"),
    ("renew my passport", "renew a passport"),
    ("print the report", "print a report"),
    ("buy two concert tickets", "buy concert tickets"),
    ("fix the bug in my code", "fix code"),
    ("write a poem about autumn", "write a poem"),
    ("feed the cat", "feed a cat"),
    ("lock the front door", "lock a door"),
    ("call my dentist", "call a dentist"),
    ("rent a bicycle", "rent a bicycle"),
    ("sell my old sofa", "sell a sofa"),
    ("edit the wedding photos", "edit photos"),
    ("measure my blood pressure", "measure blood pressure"),
    ("vacuum the hallway", "vacuum a hallway"),
    ("refill my prescription", "refill a prescription"),
    ("compare car insurance offers", "compare insurance offers"),
    ("park the car", "park a car"),
    ("file my tax return", "file a tax return"),
    ("hire a plumber", "hire a plumber"),
    ("unlock my phone", "unlock a phone"),
    ("back up my laptop", "back up a laptop"),
    ("book a yoga class", "book a yoga class"),
)
