"""The <vlan> of each <interface> in a domain's XML: found and changed by their places in the text, so all other bytes stay.

Pure: bytes in, bytes out. A library that parses and prints again would change quotes, order and white space, and lose what it
does not know.
"""

from xml.parsers import expat

INTERFACE = ["domain", "devices", "interface"]


class Bad(Exception):
    """The XML cannot be read, or a tag cannot be set there; the text is one sentence."""


class Part:
    """An element that is open: where it begins, and whether it has anything in it."""

    __slots__ = ("filled", "name", "start")

    def __init__(self, name, start):
        self.name, self.start, self.filled = name, start, False


class Interface:
    """One <interface>. Offsets are bytes from the start of the text; ``vlan`` is the range of its <vlan>, None without one."""

    def __init__(self, kind, start):
        self.kind = kind
        self.start = start
        self.mac = self.virtualport = self.vlan = self.first = self.anchor = None
        self.ids = []
        self.plain = True  # one access tag, as far as the attributes go

    @property
    def tag(self):
        """The access tag: a number, None without one, or "trunk"."""
        if not self.ids:
            return None
        return self.ids[0] if self.plain and len(self.ids) == 1 else "trunk"

    @property
    def takes_tags(self):
        """Whether libvirt can give this interface a tag: it says where, or it has one (libvirt 11 also knows Linux bridges)."""
        openvswitch = self.kind == "bridge" and self.virtualport == "openvswitch"
        return self.vlan is not None or openvswitch or self.kind in ("network", "hostdev")


class Domain:
    """A domain's XML: ``uuid`` (None without one) and ``interfaces`` in their order. Raises Bad."""

    def __init__(self, text):
        self.text = text
        self.uuid = None
        self.interfaces = []
        self._open = []
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        if b"\0" in text:
            raise Bad("the domain's XML cannot be read: it is not UTF-8")
        try:
            self._parser.Parse(text, True)
        except expat.ExpatError as error:
            raise Bad("the domain's XML cannot be read: %s" % error)

    def _start(self, name, attributes):
        place = self._parser.CurrentByteIndex
        if self._open:
            self._open[-1].filled = True
        self._open.append(Part(name, place))
        path = [part.name for part in self._open]
        if path == INTERFACE:
            self.interfaces.append(Interface(attributes.get("type", ""), place))
            return
        if path[:3] != INTERFACE:
            return
        found = self.interfaces[-1]
        if len(path) == 4:
            found.first = place if found.first is None else found.first
            if name == "mac":
                found.mac = attributes.get("address", "").lower()
            elif name == "virtualport":
                found.virtualport = attributes.get("type")
            elif name == "vlan":
                found.plain = attributes.get("trunk", "no") == "no"
        elif path[3:] == ["vlan", "tag"]:
            found.ids.append(int(attributes["id"]) if attributes.get("id", "").isdigit() else -1)
            found.plain = found.plain and "nativeMode" not in attributes

    def _characters(self, text):
        if self._open:
            self._open[-1].filled = True
            if [part.name for part in self._open] == ["domain", "uuid"]:
                self.uuid = (self.uuid or "") + text.strip()

    def _end(self, name):
        place = self._parser.CurrentByteIndex
        part = self._open.pop()
        # Of <a/> the parser gives the place behind it, of <a>...</a> that of the end tag.
        empty = not part.filled and self.text[part.start : place].endswith(b"/>")
        end = place if empty else self.text.index(b">", place) + 1
        path = [row.name for row in self._open]
        if path == INTERFACE:
            found = self.interfaces[-1]
            if name == "vlan":
                found.vlan = (part.start, end)
            elif name in ("source", "virtualport") or found.anchor is None:
                found.anchor = end

    def by_mac(self, mac):
        """Return the interface with this MAC, None when there is none."""
        return next((row for row in self.interfaces if row.mac == mac.lower()), None)

    def differing(self, wanted):
        """(MAC, tag there, tag wanted) of each interface whose tag is not that of ``wanted`` (MAC -> tag or None)."""
        rows = ((self.by_mac(mac), mac, tag) for mac, tag in sorted(wanted.items()))
        return [(mac, row.tag, tag) for row, mac, tag in rows if row is not None and row.tag != tag]

    def missing(self, wanted):
        """Return the MACs of ``wanted`` that no interface has."""
        return [mac for mac in sorted(wanted) if self.by_mac(mac) is None]

    def with_tags(self, wanted):
        """Return the text with the tags of ``wanted`` (MAC -> access tag, None: no <vlan>). Raises Bad where one
        cannot be set.
        """
        edits = []
        for mac, _, tag in self.differing(wanted):
            found = self.by_mac(mac)
            if not found.takes_tags:
                raise Bad(
                    "the interface %s must be tagged with %s here and is %s: libvirt tags only those of Open vSwitch, of a "
                    "network, and those of type hostdev" % (mac, tag, self._called(found))
                )
            edits.append(self._edit(found, tag))
        text = self.text
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    @staticmethod
    def _called(interface):
        kind = "of type %s" % (interface.kind or "unknown")
        return kind + ("" if interface.virtualport is None else " with virtualport %s" % interface.virtualport)

    def _edit(self, found, tag):
        """(start, end, what stands there instead)."""
        start, end = found.vlan or (found.anchor, found.anchor)
        margin = self._margin(found.first)
        if tag is None:
            before = len(self._margin(start))
            return start - before, end, b""
        deeper = margin + b"  " if margin else b""
        new = b"<vlan>" + deeper + b"<tag id='%d'/>" % tag + margin + b"</vlan>"
        return start, end, new if found.vlan else margin + new

    def _margin(self, place):
        """Return the line break and the blanks before ``place``; nothing where something else stands on that line."""
        blanks = place
        while blanks and self.text[blanks - 1 : blanks] in (b" ", b"\t"):
            blanks -= 1
        if self.text[blanks - 1 : blanks] != b"\n":
            return b""
        return self.text[blanks - 1 : place]
