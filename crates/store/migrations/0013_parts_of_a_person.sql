-- Finds the parts of somebody's texts, to erase them. Texts in one piece, of which no words are kept here, cost nothing.

CREATE INDEX inbound_parts_by_person ON inbound_parts (receiver, sender) WHERE total > 1;
