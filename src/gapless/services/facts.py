"""The world that the sample organisations live in: names, places, applications, clients.

Addresses are from the ranges reserved for documentation and benchmarks (RFC 5737, RFC 2544), so that no
record points at anybody. Application ids are the published ones of Microsoft's own applications.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A city with its region, country (ISO 3166), position in degrees, and the network seen there."""

    city: str
    state: str
    country: str
    latitude: float
    longitude: float
    network: str  # the first two bytes of the IPv4 addresses seen there
    autonomous_system: int  # from the numbers reserved for documentation (RFC 5398)

    @property
    def details(self) -> dict[str, object]:
        """As Entra writes a location."""
        return {
            "city": self.city,
            "state": self.state,
            "countryOrRegion": self.country,
            "geoCoordinates": {"latitude": self.latitude, "longitude": self.longitude},
        }


class Application(NamedTuple):
    """An application that people sign in to, with the resource it asks a token for."""

    name: str
    app_id: str
    resource: str
    resource_id: str
    client: str  # as in ClientAppUsed


class Device(NamedTuple):
    """A kind of client: operating system, browser, user agent, and whether the organisation manages it."""

    system: str
    browser: str
    user_agent: str
    managed: bool


COMPANIES = ("contoso", "fabrikam", "adatum", "northwind", "tailspin", "woodgrove", "litware", "proseware")

#: Separated by spaces.
FIRST_NAMES = (
    "Amara Aiko Anders Ben Bruna Carlos Chloé Daniela Dmitri Elif Emeka Fatima Finn Grace Håkon Hana Ines "
    "Jamal Jürgen Kavya Lena Łukasz Mei Miguel Nadia Noah Olga Oscar Priya Quentin Rosa Sami Tariq Ursula "
    "Wei Yusuf Zoë"
)
LAST_NAMES = (
    "Abe Adeyemi Almeida Andersson Becker Bianchi Castro Chen Dubois Eriksen Farouk Fischer García Haddad "
    "Ito Ivanov Jansen Kaya Kowalski Kumar Larsen Lopez Mbeki Moreau Müller Nguyen Novák Okafor Patel Quinn "
    "Rossi Sato Schmidt Silva Svensson Tan Urbán Walker Yılmaz Zhang"
)

#: What a mail address makes of the letters above.
ASCII_LETTERS = str.maketrans("éåüŁëíýáıöñãç", "eauLeiyaionac")

OFFICES = (
    Place("Amsterdam", "Noord-Holland", "NL", 52.3702, 4.8952, "198.18", 64496),
    Place("London", "Greater London", "GB", 51.5074, -0.1278, "198.18", 64497),
    Place("Seattle", "Washington", "US", 47.6062, -122.3321, "198.18", 64498),
    Place("Chicago", "Illinois", "US", 41.8781, -87.6298, "198.18", 64499),
    Place("München", "Bayern", "DE", 48.1351, 11.582, "198.18", 64500),
    Place("Singapore", "Central Singapore", "SG", 1.2897, 103.8501, "198.18", 64501),
    Place("São Paulo", "São Paulo", "BR", -23.5505, -46.6333, "198.18", 64502),
    Place("東京", "東京都", "JP", 35.6895, 139.6917, "198.18", 64503),
)

#: Places from which nobody of the organisation signs in, but somebody tries to.
STRANGE_PLACES = (
    Place("McMurdo", "", "AQ", -77.846, 166.676, "198.19", 64504),
    Place("Nyrøysa", "", "BV", -54.4208, 3.3464, "198.19", 64505),
    Place("Atlas Cove", "", "HM", -53.1, 73.5, "198.19", 64506),
    Place("Grytviken", "", "GS", -54.2811, -36.5092, "198.19", 64507),
)

_GRAPH = ("Microsoft Graph", "00000003-0000-0000-c000-000000000000")
_EXCHANGE = ("Office 365 Exchange Online", "00000002-0000-0ff1-ce00-000000000000")
_SHAREPOINT = ("Office 365 SharePoint Online", "00000003-0000-0ff1-ce00-000000000000")
_MANAGEMENT = ("Windows Azure Service Management API", "797f4846-ba00-4fd7-ba43-dac1f8f63013")
_BROWSER = "Browser"
_NATIVE = "Mobile Apps and Desktop clients"

#: The most used first.
APPLICATIONS = (
    Application("Microsoft Teams", "1fec8e78-bce4-4aaf-ab1b-5451cc387264", *_GRAPH, _NATIVE),
    Application("OfficeHome", "4765445b-32c6-49b0-83e6-1d93765276ca", *_GRAPH, _BROWSER),
    Application("One Outlook Web", "9199bf20-a13f-4107-85dc-02114787ef48", *_EXCHANGE, _BROWSER),
    Application("Microsoft Office", "d3590ed6-52b3-4102-aeff-aad2292ab01c", *_EXCHANGE, _NATIVE),
    Application("OneDrive SyncEngine", "ab9b8c07-8f02-4f72-87fa-80105867a763", *_SHAREPOINT, _NATIVE),
    Application(
        "Office 365 SharePoint Online", "00000003-0000-0ff1-ce00-000000000000", *_SHAREPOINT, _BROWSER
    ),
    Application("Azure Portal", "c44b4083-3bb0-49c1-b47d-974e53cbdf3c", *_MANAGEMENT, _BROWSER),
    Application("Outlook Mobile", "27922004-5251-4030-b22d-91ecd9a37ea4", *_EXCHANGE, _NATIVE),
    Application("Windows Sign In", "38aa3b87-a06d-4817-b275-7a316988d93b", *_GRAPH, _NATIVE),
    Application("Microsoft Authentication Broker", "29d9ed98-a469-4536-ade2-f981bc1d605e", *_GRAPH, _NATIVE),
    Application("Microsoft Azure CLI", "04b07795-8ddb-461a-bbee-02f9e1bf7b46", *_MANAGEMENT, _NATIVE),
    Application("Microsoft Azure PowerShell", "1950a258-227b-4e31-a9cf-717495945fc2", *_MANAGEMENT, _NATIVE),
    Application("My Apps", "2793995e-0a7d-40d7-bd35-6968ba142197", *_GRAPH, _BROWSER),
    Application("Graph Explorer", "de8bc8b5-d9f9-48b1-a8ad-b748da725064", *_GRAPH, _BROWSER),
)

_CHROMIUM = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0"
_WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"

DEVICES = (
    Device(
        "Windows10",
        "Edge 128.0.2739",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROMIUM} Safari/537.36 Edg/128.0.0.0",
        True,
    ),
    Device(
        "Windows10",
        "Chrome 128.0.0",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROMIUM} Safari/537.36",
        True,
    ),
    Device(
        "MacOs",
        "Safari 17.6",
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Version/17.6 Safari/605.1.15",
        True,
    ),
    Device(
        "Ios 17.6.1",
        "Mobile Safari",
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_6_1 like Mac OS X) {_WEBKIT} Mobile/15E148",
        False,
    ),
    Device(
        "Android 14",
        "Chrome Mobile 128.0.0",
        f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_CHROMIUM} Mobile Safari/537.36",
        False,
    ),
    Device(
        "Linux",
        "Firefox 130.0",
        "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
        False,
    ),
)

REGIONS = ("westeurope", "northeurope", "eastus", "westus2", "southeastasia", "brazilsouth")

DEPARTMENTS = ("finance", "hr", "sales", "logistics", "platform", "research", "support")
