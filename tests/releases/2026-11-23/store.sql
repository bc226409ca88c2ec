PRAGMA application_id = 1984778050;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 0), revision INTEGER NOT NULL);
INSERT INTO "head" VALUES(0,13);
CREATE TABLE record (
        kind TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;
INSERT INTO "record" VALUES('allocation','core-1/1',5,'{"value":2001}',1155696027);
INSERT INTO "record" VALUES('allocation','core-1/2',5,'{"value":2000}',3078580664);
INSERT INTO "record" VALUES('allocation','rack-a/1',3,'{"value":101}',2677735812);
INSERT INTO "record" VALUES('allocation','rack-a/2',3,'{"value":100}',3575278401);
INSERT INTO "record" VALUES('allocation','rack-b/1',5,'{"value":101}',506942431);
INSERT INTO "record" VALUES('allocation','rack-b/2',5,'{"value":100}',1421228314);
INSERT INTO "record" VALUES('allocation','rack-c/1',6,'{"value":500}',1322328040);
INSERT INTO "record" VALUES('allocation','wan/1',6,'{"value":3000}',671403252);
INSERT INTO "record" VALUES('cug','db',2,'{"gateways":["10.2.0.1"],"key":2,"name":"db","pins":{},"revision":2,"routing_domain":"red","subnets":["10.2.0.0/24"]}',1029539208);
INSERT INTO "record" VALUES('cug','web',1,'{"gateways":["10.1.0.1","2001:db8:1::1"],"key":1,"name":"web","pins":{},"revision":1,"routing_domain":"red","subnets":["10.1.0.0/24","2001:db8:1::/64"]}',46113558);
INSERT INTO "record" VALUES('meta','last_segment_key',2,'{"value":2}',1668444135);
INSERT INTO "record" VALUES('migration','m-000000000001',11,'{"activate_on":"announcement","commit":"automatic","delivery":"early","id":"m-000000000001","legs":[["web",101,101]],"mode":"hot","phase":"committed","reason":"requested","revision":11,"source":"srv-a1","started":1700000000.25,"step_revision":11,"switches":["border-1","border-2","tor-a","tor-b","tor-c"],"target":"srv-b1","timeline":[["preparing",1700000000.25,{"border-1":1,"tor-a":1,"tor-b":51}],["prepared",1700000000.25,{}],["activated",1700000000.25,{"border-1":1,"border-2":1,"tor-a":25,"tor-b":3,"tor-c":1}],["committed",1700000000.25,{}]],"timeout":300.0,"vm":"w8"}',4214783872);
INSERT INTO "record" VALUES('migration','m-000000000002',13,'{"activate_on":"request","commit":"request","delivery":"early","id":"m-000000000002","legs":[["web",500,101]],"mode":"hot","phase":"prepared","reason":null,"revision":13,"source":"srv-c1","started":1700000010.25,"step_revision":13,"switches":["border-1","border-2","tor-a","tor-b","tor-c"],"target":"srv-b1","timeline":[["preparing",1700000010.25,{"border-1":1,"border-2":1,"tor-b":49,"tor-c":1}],["prepared",1700000010.25,{}]],"timeout":3600.0,"vm":"w9"}',2765186901);
INSERT INTO "record" VALUES('switch_key','border-1',0,'{"value":1}',3489261029);
INSERT INTO "record" VALUES('switch_key','border-2',0,'{"value":2}',4121549919);
INSERT INTO "record" VALUES('switch_key','tor-a',0,'{"value":3}',3305442683);
INSERT INTO "record" VALUES('switch_key','tor-b',0,'{"value":4}',2604265925);
INSERT INTO "record" VALUES('switch_key','tor-c',0,'{"value":5}',1004084076);
INSERT INTO "record" VALUES('vm','w1',3,'{"interfaces":[{"cug":"web","guest_vlan_id":null,"ips":["10.1.0.11","2001:db8:1::b"],"mac":2199023255819},{"cug":"db","guest_vlan_id":null,"ips":["10.2.0.11"],"mac":2199023256075}],"migration":null,"name":"w1","revision":3,"server":"srv-a1"}',3934891108);
INSERT INTO "record" VALUES('vm','w2',4,'{"interfaces":[{"cug":"web","guest_vlan_id":null,"ips":["10.1.0.12","2001:db8:1::c"],"mac":2199023255820}],"migration":null,"name":"w2","revision":4,"server":"srv-a2"}',3379909214);
INSERT INTO "record" VALUES('vm','w3',5,'{"interfaces":[{"cug":"web","guest_vlan_id":null,"ips":["10.1.0.13","2001:db8:1::d"],"mac":2199023255821},{"cug":"db","guest_vlan_id":null,"ips":["10.2.0.13"],"mac":2199023256077}],"migration":null,"name":"w3","revision":5,"server":"srv-b1"}',865513108);
INSERT INTO "record" VALUES('vm','w8',11,'{"interfaces":[{"cug":"web","guest_vlan_id":null,"ips":["10.1.0.18","2001:db8:1::12"],"mac":2199023255826}],"migration":null,"name":"w8","revision":11,"server":"srv-b1"}',2024055919);
INSERT INTO "record" VALUES('vm','w9',13,'{"interfaces":[{"cug":"web","guest_vlan_id":null,"ips":["10.1.0.19","2001:db8:1::13"],"mac":2199023255827}],"migration":"m-000000000002","name":"w9","revision":13,"server":"srv-c1"}',2936443104);
COMMIT;
