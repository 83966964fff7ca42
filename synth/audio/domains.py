"""The words and sentence patterns of four domains: dictated medical notes, field notes, voice orders and call-centre
lines.

Each domain has three families that training may see and one that only `test_ood` may use. No sound is made here.
"""

from __future__ import annotations

from synth.audio import forms
from synth.audio.forms import Slot, amount, code, decimal, integer, word
from synth.audio.grammar import Family


def _list(items: str) -> tuple[str, ...]:
    """Comma-separated items."""
    return tuple(item.strip() for item in items.split(","))


_SURNAMES = _list(
    "Alvarez, Bennett, Castillo, Donovan, Eriksson, Fitzgerald, Gallagher, Hernandez, Iverson, Jankowski, Kowalski, "
    "Lindqvist, Moreau, Nakamura, Okafor, Petrov, Quinlan, Rosenberg, Sandoval, Takahashi, Ulrich, Vasquez, Whitaker, "
    "Yamamoto, Zielinski"
)
_DRUGS = _list(
    "metoprolol, lisinopril, amoxicillin, warfarin, furosemide, gabapentin, omeprazole, metformin, atorvastatin, "
    "prednisone, heparin, ceftriaxone, vancomycin, levothyroxine, amlodipine, hydrocodone, ondansetron, clopidogrel, "
    "sertraline, albuterol, insulin, morphine, ibuprofen, digoxin, lorazepam"
)
_SYMPTOMS = _list(
    "dyspnea, nausea, chest pain, palpitations, abdominal tenderness, peripheral edema, tachycardia, vertigo, "
    "productive cough, syncope, fatigue, hematuria, photophobia, wheezing, pallor"
)
_SITES = _list("left forearm, right knee, lumbar spine, sternum, abdomen, left ankle, right shoulder, scalp, thorax")
_IMAGING = _list(
    "see tee=CT, em ar eye=MRI, ultrasound, chest x ray=chest X-ray, ee see jee=ECG, endoscopy, biopsy, spirometry"
)
_FREQUENCIES = _list("twice daily, every eight hours=every 8 hours, at bedtime, before meals, every morning, as needed")
_ASSETS = _list(
    "pump, gate valve, transformer, conveyor, compressor, manhole, culvert, hydrant, switchgear, guardrail, turbine, "
    "heat exchanger, storage tank, insulator"
)
_DEFECTS = _list(
    "corrosion, hairline cracks, oil leakage, loose bolts, vibration, water ingress, blistered paint, frayed cable, "
    "misalignment, overheating, sediment"
)
_DISHES = _list(
    "cheeseburger, margherita pizza, caesar salad, chicken burrito, veggie wrap, pepperoni pizza, fish tacos, "
    "mushroom risotto, club sandwich, tomato soup, pancakes, lasagna"
)
_EXTRAS = _list("jalapenos, extra cheese, no onions, gluten free crust, sour cream, avocado, no mayo, honey mustard")
_DRINKS = _list("iced latte, cappuccino, lemonade, ginger ale, espresso, herbal tea, orange juice, milkshake")
_PARTS = _list(
    "hex bolts, copper elbows, gaskets, ball bearings, circuit breakers, conduit clamps, washers, pipe fittings"
)
_PRODUCTS = _list("router, modem, thermostat, headset, tablet, dishwasher, printer, vacuum, smart lock")
_PROBLEMS = _list(
    "keeps rebooting, shows a blinking light, will not pair, arrived damaged, overheats, lost its settings"
)
_PLANS = _list("basic plan, family bundle, premium tier, business package, prepaid plan")

SLOTS: dict[str, Slot] = {
    "name": word(_SURNAMES, "name"),
    "drug": word(_DRUGS, "drug"),
    "symptom": word(_SYMPTOMS, "symptom"),
    "site": word(_SITES, "site"),
    "imaging": word(_IMAGING, "procedure"),
    "often": word(_FREQUENCIES),
    "dose": amount((2, 5, 10, 15, 20, 25, 40, 50, 75, 100, 125, 250, 500), ("mg", "mg", "mcg", "ml"), "dose"),
    "bed": integer(1, 40),
    "age": integer(18, 94),
    "pulse": integer(48, 140, "reading"),
    "pressure": forms.blood_pressure,
    "fever": decimal(36, 40, "°C", "reading"),
    "oxygen": amount(tuple(range(84, 100)), ("%",), "reading"),
    "weight": decimal(45, 110, "kg", "reading"),
    "date": forms.date,
    "clock": forms.clock,
    "price": forms.price,
    "asset": word(_ASSETS, "asset"),
    "defect": word(_DEFECTS, "defect"),
    "length": decimal(1, 60, "m", "measure"),
    "gap": amount(tuple(range(2, 60)), ("mm", "cm"), "measure"),
    "bar": decimal(1, 16, "bar", "measure"),
    "volts": amount((4, 10, 11, 20, 33, 66, 110), ("kV",), "measure"),
    "share": amount(tuple(range(5, 100, 5)), ("%",), "measure"),
    "dish": word(_DISHES, "item"),
    "extra": word(_EXTRAS, "item"),
    "drink": word(_DRINKS, "item"),
    "parts": word(_PARTS, "item"),
    "few": integer(2, 12),
    "many": integer(13, 480),
    "table": integer(1, 60),
    "product": word(_PRODUCTS, "item"),
    "problem": word(_PROBLEMS),
    "plan": word(_PLANS, "item"),
    "asset_code": code("@@-##"),
    "order_code": code("@###"),
    "part_code": code("##-@##"),
    "account": code("######"),
    "ticket": code("@@###"),
    "phone": code("555-####", "phone"),
}

FAMILIES: tuple[Family, ...] = (
    Family("medical_orders", "medical", (
        "Give {drug} {dose} {often} to bed {bed}.",
        "Start {name} on {drug} {dose} {often}.",
        "Increase {drug} to {dose} {often}.",
        "Hold {drug} until {clock} on {date}.",
        "Order {imaging} of the {site} for {name}.",
        "Discontinue {drug} and begin {drug} {dose}.",
        "Repeat {imaging} on {date} at {clock}.",
    )),
    Family("medical_vitals", "medical", (
        "Blood pressure {pressure}, pulse {pulse}, saturation {oxygen}.",
        "Temperature {fever}, pulse {pulse}.",
        "Bed {bed} has blood pressure {pressure} at {clock}.",
        "Weight {weight}, saturation {oxygen} on room air.",
        "Pulse {pulse} and temperature {fever} at {clock}.",
    )),
    Family("medical_notes", "medical", (
        "Patient {name}, age {age}, presents with {symptom}.",
        "{name} denies {symptom} and {symptom}.",
        "Laceration of the {site}, {gap}, cleaned and sutured.",
        "History of {symptom} since {date}.",
        "{age} year old with {symptom} and {symptom}, on {drug}.",
        "Exam of the {site} shows no {symptom}.",
    )),
    Family("medical_handover", "medical", (
        "Bed {bed}, {name}, {symptom}, received {drug} {dose} at {clock}.",
        "Handover for {name}, pressure {pressure}, awaiting {imaging}.",
        "{name} tolerated {drug}, next {dose} due {clock}.",
        "Watch bed {bed} for {symptom}, temperature {fever}.",
    ), held_out=True),
    Family("field_inspection", "field", (
        "Asset {asset_code}, {asset}, shows {defect} over {share} of the surface.",
        "The {asset} at marker {table} has {defect}.",
        "Found {defect} on {asset} {asset_code}.",
        "Replace the {asset} {asset_code} before {date}.",
        "No {defect} on the {asset}, inspected {date}.",
    )),
    Family("field_measurement", "field", (
        "Pressure at {asset} {asset_code} is {bar}.",
        "Crack width {gap}, length {length}.",
        "Clearance {length} below the {volts} line.",
        "The {asset} reads {bar} at {clock}.",
        "Tank level {share}, sediment {gap}.",
    )),
    Family("field_work", "field", (
        "Crew of {few} closed the {asset} at {clock}.",
        "Tightened {few} bolts on {asset} {asset_code}.",
        "Work order {ticket} for the {asset} is complete.",
        "Return visit on {date} to fix {defect}.",
        "Excavated {length} next to the {asset}.",
    )),
    Family("field_summary", "field", (
        "{asset} {asset_code}, {defect}, {gap}, revisit {date}.",
        "Summary for {date}, {few} sites, one {asset} with {defect}.",
        "Ticket {ticket}, {asset} at {bar}, {defect} found.",
        "Measured {length} from the {asset} at {clock}.",
    ), held_out=True),
    Family("order_food", "orders", (
        "{few} {dish} with {extra} for table {table}.",
        "Add a {drink} and a {dish} to order {order_code}.",
        "One {dish}, {extra}, and {few} {drink} to go.",
        "Pickup for {name} at {clock}, {few} {dish}.",
        "Deliver the {dish} with {extra} at {clock}.",
    )),
    Family("order_parts", "orders", (
        "Send {many} {parts}, part {part_code}.",
        "We need {many} {parts} by {date}.",
        "Reorder part {part_code}, quantity {many}.",
        "Quote {price} for {many} {parts}.",
        "Ship {parts} {part_code} to {name}.",
    )),
    Family("order_change", "orders", (
        "Change order {order_code} to {few} {dish}.",
        "Make it {many} {parts} instead of {many}.",
        "Move order {order_code} to {date}.",
        "Replace the {drink} with a {drink} for table {table}.",
        "Refund {price} on order {order_code}.",
    )),
    Family("order_cancel", "orders", (
        "Cancel order {order_code}, the {dish} for {name}.",
        "Drop part {part_code} and refund {price}.",
        "Skip the {extra} on {few} {dish}, table {table}.",
        "Void {many} {parts} from {date}.",
    ), held_out=True),
    Family("call_account", "calls", (
        "My account number is {account}.",
        "This is {name}, account {account}, about the {plan}.",
        "Please switch me to the {plan} from {date}.",
        "You charged me {price} on {date}.",
        "Call me back at {phone} after {clock}.",
    )),
    Family("call_support", "calls", (
        "My {product} {problem} since {date}.",
        "The {product} with serial {asset_code} {problem}.",
        "Ticket {ticket} is about a {product} that {problem}.",
        "I reset the {product} {few} times and it {problem}.",
        "Send a technician on {date} at {clock}.",
    )),
    Family("call_booking", "calls", (
        "Book {name} for {date} at {clock}.",
        "Reschedule {ticket} to {date}.",
        "Is {clock} on {date} still free?",
        "Confirm {few} seats for {name}, phone {phone}.",
        "The deposit is {price}, reference {ticket}.",
    )),
    Family("call_complaint", "calls", (
        "{name} here, the {product} {problem}, refund {price}.",
        "Ticket {ticket} from {date} is still open, call {phone}.",
        "Account {account} was billed {price} twice.",
        "Your technician missed {clock} on {date}, ticket {ticket}.",
    ), held_out=True),
)  # fmt: skip

DOMAINS: tuple[str, ...] = ("medical", "field", "orders", "calls")


def families(domains: tuple[str, ...], held_out: bool) -> tuple[Family, ...]:
    """The families of the named domains that are (or are not) held out for `test_ood`, in a fixed order."""
    return tuple(f for f in FAMILIES if f.domain in domains and f.held_out == held_out)
