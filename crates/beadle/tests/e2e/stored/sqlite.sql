-- The state of a service that was killed, as a Beadle of November 2026 left it (schema 2). Made by
-- that program before its simulator; only the end of the pause is moved, by a hundred years.
BEGIN TRANSACTION;
CREATE TABLE guard_booking (
    n        INTEGER PRIMARY KEY, -- in the order of the bookings
    instance TEXT NOT NULL,
    digest   TEXT NOT NULL,
    key      TEXT NOT NULL, -- empty in what version 1 stored, as the aspect is
    aspect   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    state    TEXT NOT NULL,
    weakens  INTEGER NOT NULL,
    exposes  INTEGER NOT NULL,
    removes  INTEGER NOT NULL,
    reaches  INTEGER NOT NULL
) STRICT;
INSERT INTO "guard_booking" VALUES(1,'acme','cb780866da80','repository:acme:1007','teams',1795899089428,'written',0,0,1,1);
CREATE TABLE hold (
    digest   TEXT PRIMARY KEY,
    instance TEXT NOT NULL,
    key      TEXT NOT NULL,
    since    INTEGER NOT NULL,
    approved INTEGER NOT NULL,
    hold     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "hold" VALUES('221d2e3a79a0','acme','repository:acme:1013',1795899089161,0,'{"digest":"221d2e3a79a0","key":"repository:acme:1013","subject":"acme/r3","since":1795899089161,"why":"guard limit reached: at most 1 removal in 60 min, 1 used","contested":false,"approved_by":null,"spent":false,"generation":"77c9a913df26","change":{"aspect":"teams","what":"team contractors","fields":[{"name":"permission","before":"admin","after":null,"asked":{"file":"settings.yml","line":5},"risk":"removes"}],"mode":"enforce","after":[],"write":null}}');
INSERT INTO "hold" VALUES('357711b6f79d','acme','repository:acme:1019',1795899097175,0,'{"digest":"357711b6f79d","key":"repository:acme:1019","subject":"acme/r5","since":1795899097175,"why":"guard limit reached: at most 1 removal in 60 min, 1 used","contested":false,"approved_by":null,"spent":false,"generation":"77c9a913df26","change":{"aspect":"settings","what":"","fields":[{"name":"visibility","before":"public","after":"private","asked":{"file":"settings.yml","line":2},"risk":"removes"}],"mode":"enforce","after":[],"write":null}}');
INSERT INTO "hold" VALUES('b986251975d2','acme','repository:acme:1010',1795899089159,1,'{"digest":"b986251975d2","key":"repository:acme:1010","subject":"acme/r2","since":1795899089159,"why":"guard limit reached: at most 1 removal in 60 min, 1 used","contested":false,"approved_by":"an operator","spent":false,"generation":"77c9a913df26","change":{"aspect":"teams","what":"team contractors","fields":[{"name":"permission","before":"admin","after":null,"asked":{"file":"settings.yml","line":5},"risk":"removes"}],"mode":"enforce","after":[],"write":null}}');
CREATE TABLE inbox (
    n        INTEGER PRIMARY KEY,
    source   TEXT NOT NULL,
    id       TEXT NOT NULL,
    event    TEXT NOT NULL,
    actor    TEXT,
    instance TEXT NOT NULL,
    received INTEGER NOT NULL,
    keys     TEXT NOT NULL,
    body     BLOB,
    UNIQUE (source, id)
) STRICT;
INSERT INTO "inbox" VALUES(1,'github','7268398a-b262-49dc-9c28-2dad274e4fe1','repository.publicized','ann','acme',1795899097062,'["repository:acme:1019"]',X'28B52FFD20F3A5040002091C1C70356A0368B45E5BB2C90ED21D25918CAA8A5F2E852D3425559598016B11769E74179584F5766BC09C3893DB2D6494D1507DBBB5EC9E0742357A55324007F24058EC2E87DB9DA06EE779E0EEC245A6E6DB15080161E749DFD879806A45934652DDEE291945BA8605B99D73AB82F04D0C004BECC444819B30335414642CFF30D2D8D1081484DE39349B144064A56B4201');
INSERT INTO "inbox" VALUES(2,'github','0c40de62-71f0-4efd-843c-a053a154d0ee','repository.edited','ann','acme',1795899099122,'["repository:acme:1016"]',X'28B52FFD20EF750400C2881A1980396DE847D7841EBB969CA1B5AB1849197C075F66C96254406B193B47BA8B2A61BDDD123023CEE4760B13CA78A4BEDD5A764FC4403D7A53F2A101891858EC2A85DB7D906EE789E0AEC245A2E6DB114CC0D839D22F768E48AD346943A6DB1DA55294B7736E55067E090C004BECC444819B30335414542CFF30D2C8D1081484DE39349B144064A36B4201');
CREATE TABLE journal (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    subject TEXT NOT NULL,
    intent  INTEGER,
    detail  TEXT NOT NULL
) STRICT;
INSERT INTO "journal" VALUES(1,1795899089162,'intent','repository:acme:1007','acme/r1',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(2,1795899089164,'result','repository:acme:1007','acme/r1',1,'{"written":true}');
INSERT INTO "journal" VALUES(3,1795899089230,'intent','repository:acme:1004','acme/r0',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(4,1795899089233,'result','repository:acme:1004','acme/r0',3,'{"written":true}');
INSERT INTO "journal" VALUES(5,1795899089233,'run','repository:acme:1004','acme/r0',NULL,'{"after":[],"changes":1,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":1}');
INSERT INTO "journal" VALUES(6,1795899089294,'intent','repository:acme:1010','acme/r2',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(7,1795899089297,'result','repository:acme:1010','acme/r2',6,'{"written":true}');
INSERT INTO "journal" VALUES(8,1795899089298,'run','repository:acme:1010','acme/r2',NULL,'{"after":[],"changes":2,"failed":0,"held":1,"postponed":0,"unknown":[],"withheld":0,"written":1}');
INSERT INTO "journal" VALUES(9,1795899089361,'intent','repository:acme:1013','acme/r3',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(10,1795899089364,'result','repository:acme:1013','acme/r3',9,'{"written":true}');
INSERT INTO "journal" VALUES(11,1795899089365,'run','repository:acme:1013','acme/r3',NULL,'{"after":[],"changes":2,"failed":0,"held":1,"postponed":0,"unknown":[],"withheld":0,"written":1}');
INSERT INTO "journal" VALUES(12,1795899089428,'intent','repository:acme:1007','acme/r1',NULL,'{"after":[],"aspect":"teams","fields":[{"after":null,"asked":{"file":"settings.yml","line":5},"before":"admin","name":"permission","risk":"removes"}],"generation":"77c9a913df26","mode":"enforce","what":"team contractors","write":null}');
INSERT INTO "journal" VALUES(13,1795899089431,'result','repository:acme:1007','acme/r1',12,'{"written":true}');
INSERT INTO "journal" VALUES(14,1795899089433,'run','repository:acme:1007','acme/r1',NULL,'{"after":[],"changes":2,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":2}');
INSERT INTO "journal" VALUES(15,1795899089461,'intent','repository:acme:1016','acme/r4',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(16,1795899089463,'result','repository:acme:1016','acme/r4',15,'{"written":true}');
INSERT INTO "journal" VALUES(17,1795899089464,'run','repository:acme:1016','acme/r4',NULL,'{"after":[],"changes":1,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":1}');
INSERT INTO "journal" VALUES(18,1795899089475,'intent','target-group:aws:corp/00gdev','aws/Dev',NULL,'{"after":[],"aspect":"group","fields":[{"after":"Dev","asked":{"file":"beadle.toml","line":26},"before":null,"name":"displayName","risk":"adds"}],"generation":"8e2b91699d31","mode":"enforce","what":"create","write":null}');
INSERT INTO "journal" VALUES(19,1795899089478,'result','target-group:aws:corp/00gdev','aws/Dev',18,'{"written":true}');
INSERT INTO "journal" VALUES(20,1795899089494,'intent','repository:acme:1019','acme/r5',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(21,1795899089498,'result','repository:acme:1019','acme/r5',20,'{"written":true}');
INSERT INTO "journal" VALUES(22,1795899089498,'run','repository:acme:1019','acme/r5',NULL,'{"after":[],"changes":1,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":1}');
INSERT INTO "journal" VALUES(23,1795899089525,'intent','target-group:aws:corp/00gdev','aws/Dev',NULL,'{"after":[0],"aspect":"members","fields":[{"after":true,"asked":{"file":"beadle.toml","line":26},"before":null,"name":"ann@acme.example","risk":"adds"},{"after":true,"asked":{"file":"beadle.toml","line":26},"before":null,"name":"bob@acme.example","risk":"adds"},{"after":true,"asked":{"file":"beadle.toml","line":26},"before":null,"name":"cyd@acme.example","risk":"adds"},{"after":true,"asked":{"file":"beadle.toml","line":26},"before":null,"name":"dan@acme.example","risk":"adds"}],"generation":"8e2b91699d31","mode":"enforce","what":"add","write":null}');
INSERT INTO "journal" VALUES(24,1795899089526,'intent','repository:acme:1022','acme/r6',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(25,1795899089529,'result','repository:acme:1022','acme/r6',24,'{"written":true}');
INSERT INTO "journal" VALUES(26,1795899089531,'result','target-group:aws:corp/00gdev','aws/Dev',23,'{"written":true}');
INSERT INTO "journal" VALUES(27,1795899089531,'run','target-group:aws:corp/00gdev','aws/Dev',NULL,'{"after":[],"changes":2,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":2}');
INSERT INTO "journal" VALUES(28,1795899089559,'intent','repository:acme:1025','acme/r7',NULL,'{"after":[],"aspect":"settings","fields":[{"after":false,"asked":{"file":"settings.yml","line":3},"before":true,"name":"has_wiki","risk":"changes"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(29,1795899089562,'result','repository:acme:1025','acme/r7',28,'{"written":true}');
INSERT INTO "journal" VALUES(30,1795899089563,'run','repository:acme:1025','acme/r7',NULL,'{"after":[],"changes":1,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":1}');
INSERT INTO "journal" VALUES(31,1795899089576,'intent','target-group:aws:corp/00gops','aws/Ops',NULL,'{"after":[],"aspect":"group","fields":[{"after":"Ops","asked":{"file":"beadle.toml","line":26},"before":null,"name":"displayName","risk":"adds"}],"generation":"8e2b91699d31","mode":"enforce","what":"create","write":null}');
INSERT INTO "journal" VALUES(32,1795899089579,'result','target-group:aws:corp/00gops','aws/Ops',31,'{"written":true}');
INSERT INTO "journal" VALUES(33,1795899089592,'intent','repository:acme:1022','acme/r6',NULL,'{"after":[],"aspect":"topics","fields":[{"after":true,"asked":{"file":"repos/r6.yml","line":1},"before":null,"name":"six","risk":"adds"}],"generation":"77c9a913df26","mode":"enforce","what":"","write":null}');
INSERT INTO "journal" VALUES(34,1795899089595,'result','repository:acme:1022','acme/r6',33,'{"written":true}');
INSERT INTO "journal" VALUES(35,1795899089596,'run','repository:acme:1022','acme/r6',NULL,'{"after":[],"changes":2,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":2}');
INSERT INTO "journal" VALUES(36,1795899089626,'intent','target-group:aws:corp/00gops','aws/Ops',NULL,'{"after":[0],"aspect":"members","fields":[{"after":true,"asked":{"file":"beadle.toml","line":26},"before":null,"name":"ann@acme.example","risk":"adds"},{"after":true,"asked":{"file":"beadle.toml","line":26},"before":null,"name":"bob@acme.example","risk":"adds"}],"generation":"8e2b91699d31","mode":"enforce","what":"add","write":null}');
INSERT INTO "journal" VALUES(37,1795899089630,'result','target-group:aws:corp/00gops','aws/Ops',36,'{"written":true}');
INSERT INTO "journal" VALUES(38,1795899089630,'run','target-group:aws:corp/00gops','aws/Ops',NULL,'{"after":[],"changes":2,"failed":0,"held":0,"postponed":0,"unknown":[],"withheld":0,"written":2}');
INSERT INTO "journal" VALUES(39,1795899097177,'run','repository:acme:1019','acme/r5',NULL,'{"after":[{"by":"ann","delivery":"7268398a-b262-49dc-9c28-2dad274e4fe1","event":"repository.publicized"}],"changes":1,"failed":0,"held":1,"postponed":0,"unknown":[],"withheld":0,"written":0}');
INSERT INTO "journal" VALUES(40,1795899099116,'operator','repository:acme:1025','acme/r7',NULL,'{"by":"an operator","paused_until":"2026-12-28T20:51:39Z"}');
INSERT INTO "journal" VALUES(41,1795899099125,'sweep','sweep:acme','acme',NULL,'{"summary":{"checked":8,"drifted":8,"failed":0,"held":3,"repaired":8,"unknown":0},"took_s":9}');
INSERT INTO "journal" VALUES(42,1795899099126,'sweep','sweep:corp','corp',NULL,'{"summary":{"checked":2,"drifted":2,"failed":0,"held":0,"repaired":2,"unknown":0},"took_s":9}');
INSERT INTO "journal" VALUES(43,1795899103133,'operator','repository:acme:1010','acme/r2',NULL,'{"approved":"b986251975d2","by":"an operator"}');
CREATE TABLE note (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "note" VALUES('gone:acme','{"looked":1795899089135,"since":{}}');
INSERT INTO "note" VALUES('listed:corp:00gdev','{"changed":"2026-01-01T00:00:00.000Z","leave":[],"read":1795899089469,"stay":["00uann","00ubob","00ucyd","00udan"]}');
INSERT INTO "note" VALUES('listed:corp:00gops','{"changed":"2026-01-01T00:00:00.000Z","leave":[],"read":1795899089503,"stay":["00uann","00ubob"]}');
INSERT INTO "note" VALUES('log:corp','{"cursor":"http://127.0.0.1:7171/api/v1/logs?since=2026-11-28T20%3A46%3A29Z&sortOrder=ASCENDING&limit=1000&filter=eventType+eq+%22group.user_membership.add%22+or+eventType+eq+%22group.user_membership.remove%22+or+eventType+eq+%22group.lifecycle.create%22+or+eventType+eq+%22group.lifecycle.delete%22+or+eventType+eq+%22group.profile.update%22+or+eventType+eq+%22user.lifecycle.create%22+or+eventType+eq+%22user.lifecycle.activate%22+or+eventType+eq+%22user.lifecycle.deactivate%22+or+eventType+eq+%22user.lifecycle.reactivate%22+or+eventType+eq+%22user.lifecycle.suspend%22+or+eventType+eq+%22user.lifecycle.unsuspend%22+or+eventType+eq+%22user.lifecycle.delete.initiated%22+or+eventType+eq+%22user.account.update_profile%22+or+eventType+eq+%22application.user_membership.add%22+or+eventType+eq+%22application.user_membership.remove%22+or+eventType+eq+%22application.user_membership.update%22&after=0","until":1795899089123}');
INSERT INTO "note" VALUES('name:acme:team:platform','1003');
INSERT INTO "note" VALUES('override-of:acme:1022','repos/r6.yml');
INSERT INTO "note" VALUES('override:acme:repos/r6.yml','1022');
INSERT INTO "note" VALUES('pair:aws:corp/00gdev','{"filled":["corp/00gdev"],"from":"AWS_Dev","group":"c52edce7-116f-246b-1c5a-cbe114b15a8d","name":"Dev","sources":["corp/00gdev"]}');
INSERT INTO "note" VALUES('pair:aws:corp/00gops','{"filled":["corp/00gops"],"from":"AWS_Ops","group":"318e72dd-3888-2e80-a7f9-01372d00f601","name":"Ops","sources":["corp/00gops"]}');
INSERT INTO "note" VALUES('process:acme:9d1c024d993a49f3','{"at":1795899103309,"accounts":[["core",{"limit":5000,"remaining":4981,"reset":1795899210133,"period":1795899209}],["graphql",{"limit":5000,"remaining":4978,"reset":1795899210135,"period":1795899209}]],"refusals":[],"rest":0,"graphql":2,"ended":false}');
INSERT INTO "note" VALUES('ready','');
INSERT INTO "note" VALUES('recovered:12345:acme','{"asked":{},"tries":{},"until":1795899089125}');
INSERT INTO "note" VALUES('repositories:acme','8');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r0/teams?per_page=100','{"etag":"\"47c82b4ab18bbd2c430f41ad5fc565fb76cf61ddbe51e97acb6d14e45fbccc94\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r1/teams?per_page=100','{"etag":"\"8dd35a90c3f399ec2bebe04c8a71248941627f3a2ef23e6528e9b04c6b927a78\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/contractors\",\"id\":1002,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1002/members{/member}\",\"name\":\"contractors\",\"node_id\":\"T_kgDO00001002\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1002/repos\",\"slug\":\"contractors\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1002\"},{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r2/teams?per_page=100','{"etag":"\"8dd35a90c3f399ec2bebe04c8a71248941627f3a2ef23e6528e9b04c6b927a78\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/contractors\",\"id\":1002,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1002/members{/member}\",\"name\":\"contractors\",\"node_id\":\"T_kgDO00001002\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1002/repos\",\"slug\":\"contractors\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1002\"},{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r3/teams?per_page=100','{"etag":"\"8dd35a90c3f399ec2bebe04c8a71248941627f3a2ef23e6528e9b04c6b927a78\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/contractors\",\"id\":1002,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1002/members{/member}\",\"name\":\"contractors\",\"node_id\":\"T_kgDO00001002\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1002/repos\",\"slug\":\"contractors\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1002\"},{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r4/teams?per_page=100','{"etag":"\"47c82b4ab18bbd2c430f41ad5fc565fb76cf61ddbe51e97acb6d14e45fbccc94\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r5/teams?per_page=100','{"etag":"\"47c82b4ab18bbd2c430f41ad5fc565fb76cf61ddbe51e97acb6d14e45fbccc94\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r6/teams?per_page=100','{"etag":"\"47c82b4ab18bbd2c430f41ad5fc565fb76cf61ddbe51e97acb6d14e45fbccc94\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('rest:acme:repos/acme/r7/teams?per_page=100','{"etag":"\"47c82b4ab18bbd2c430f41ad5fc565fb76cf61ddbe51e97acb6d14e45fbccc94\"","token":"67169e788b489bde81744f0bb11d3539398a0e9310c21b92d3e085e533a924f5","computable":true,"link":null,"body":"[{\"access_source\":\"direct\",\"description\":null,\"html_url\":\"https://github.com/orgs/acme/teams/platform\",\"id\":1003,\"members_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/members{/member}\",\"name\":\"platform\",\"node_id\":\"T_kgDO00001003\",\"notification_setting\":\"notifications_enabled\",\"organization_id\":1001,\"parent\":null,\"permission\":\"admin\",\"permissions\":{\"admin\":true,\"maintain\":true,\"pull\":true,\"push\":true,\"triage\":true},\"privacy\":\"closed\",\"repositories_url\":\"http://127.0.0.1:7170/organizations/1001/team/1003/repos\",\"slug\":\"platform\",\"type\":\"organization\",\"url\":\"http://127.0.0.1:7170/organizations/1001/team/1003\"}]"}');
INSERT INTO "note" VALUES('scim-evidence:aws:http://127.0.0.1:7172/9f1-tenant/scim/v2','{"Users by an impossible groups.value":"finds nobody"}');
INSERT INTO "note" VALUES('sweep:acme','1795899089124 77c9a913df26 enforce');
INSERT INTO "note" VALUES('sweep:corp','1795899089125 8e2b91699d31');
INSERT INTO "note" VALUES('swept:corp','1795899089137');
INSERT INTO "note" VALUES('task:System Log of corp','{"name":"System Log of corp","period":60000,"begun":1795899089123,"ended":1795899089128,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899149128}');
INSERT INTO "note" VALUES('task:changed groups of corp','{"name":"changed groups of corp","period":300000,"begun":1795899089121,"ended":1795899089126,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899389126}');
INSERT INTO "note" VALUES('task:interrupted deliveries','{"name":"interrupted deliveries","period":45000,"begun":1795899089121,"ended":1795899089121,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899134121}');
INSERT INTO "note" VALUES('task:missed webhooks of App 12345','{"name":"missed webhooks of App 12345","period":900000,"begun":1795899089123,"ended":1795899089128,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899989128}');
INSERT INTO "note" VALUES('task:opening of acme','{"name":"opening of acme","period":10000,"begun":1795899089122,"ended":1795899089122,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899099122}');
INSERT INTO "note" VALUES('task:own login at acme','{"name":"own login at acme","period":10000,"begun":1795899089122,"ended":1795899089126,"last":{"status":"done","detail":"beadle-app[bot]"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899099126}');
INSERT INTO "note" VALUES('task:policy of acme','{"name":"policy of acme","period":10000,"begun":1795899089123,"ended":1795899089126,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899099126}');
INSERT INTO "note" VALUES('task:pruning','{"name":"pruning","period":600000,"begun":1795899089122,"ended":1795899089123,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899689123}');
INSERT INTO "note" VALUES('task:secrets','{"name":"secrets","period":10000,"begun":1795899089121,"ended":1795899089122,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899099122}');
INSERT INTO "note" VALUES('task:sweep of acme','{"name":"sweep of acme","period":10000,"begun":1795899089123,"ended":1795899089134,"last":{"status":"done","detail":"started for generation 77c9a913df26"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899099134}');
INSERT INTO "note" VALUES('task:sweep of corp','{"name":"sweep of corp","period":10000,"begun":1795899089123,"ended":1795899089133,"last":{"status":"done","detail":"started for mappings 8e2b91699d31"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899099133}');
INSERT INTO "note" VALUES('task:sweep summary of acme','{"name":"sweep summary of acme","period":10000,"begun":1795899099125,"ended":1795899099128,"last":{"status":"done","detail":"8 checked, 8 drifted, 8 repaired, 0 failed"},"failure":null,"failing_since":null,"runs":2,"failures":0,"next":1795899109128}');
INSERT INTO "note" VALUES('task:sweep summary of corp','{"name":"sweep summary of corp","period":10000,"begun":1795899099126,"ended":1795899099129,"last":{"status":"done","detail":"2 checked, 2 drifted, 2 repaired, 0 failed"},"failure":null,"failing_since":null,"runs":2,"failures":0,"next":1795899109129}');
INSERT INTO "note" VALUES('task:target aws','{"name":"target aws","period":30000,"begun":1795899089124,"ended":1795899089128,"last":{"status":"done","detail":"the target is what the configuration says"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795899119128}');
INSERT INTO "note" VALUES('task:token of aws','{"name":"token of aws","period":3600000,"begun":1795899089123,"ended":1795899089123,"last":{"status":"idle"},"failure":null,"failing_since":null,"runs":1,"failures":0,"next":1795902689123}');
CREATE TABLE pause (scope TEXT PRIMARY KEY, until INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO "pause" VALUES('repository:acme:1025',4954251099115);
CREATE TABLE work (
    key           TEXT PRIMARY KEY,
    instance      TEXT NOT NULL,
    lane          TEXT NOT NULL,
    wanted        INTEGER NOT NULL,
    done          INTEGER NOT NULL,
    claimed       INTEGER NOT NULL,
    run_at        INTEGER NOT NULL,
    not_before    INTEGER NOT NULL,
    spares_events INTEGER NOT NULL,
    first_dirty   INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    lease_until   INTEGER,
    parked        TEXT,
    hint          TEXT,
    last_error    TEXT,
    due           INTEGER, -- NULL: nothing to do
    rank          INTEGER NOT NULL
) STRICT;
INSERT INTO "work" VALUES('sweep:corp:groups','corp','sweep',1,1,1,1795899089125,0,0,1795899089125,0,1,NULL,NULL,NULL,NULL,NULL,2001795899089125);
INSERT INTO "work" VALUES('sweep:acme:1001','acme','sweep',1,1,1,1795899089124,0,0,1795899089124,0,1,NULL,NULL,NULL,NULL,NULL,2001795899089124);
INSERT INTO "work" VALUES('organisation:acme:1001','acme','sweep',1,1,1,1795899089135,0,0,1795899089135,0,1,NULL,NULL,NULL,NULL,NULL,2001795899089135);
INSERT INTO "work" VALUES('repository:acme:1004','acme','sweep',1,1,1,1795899089135,0,0,1795899089135,0,1,NULL,NULL,'R_kgDO00001004',NULL,NULL,2001795899089135);
INSERT INTO "work" VALUES('repository:acme:1007','acme','sweep',1,1,1,1795899089135,0,0,1795899089135,0,1,NULL,NULL,'R_kgDO00001007',NULL,NULL,2001795899089135);
INSERT INTO "work" VALUES('repository:acme:1010','acme','manual',2,1,1,1795899103132,0,0,1795899103132,0,1,NULL,NULL,'R_kgDO00001010',NULL,1795899103132,1001795899103132);
INSERT INTO "work" VALUES('repository:acme:1013','acme','sweep',1,1,1,1795899089135,0,0,1795899089135,0,1,NULL,NULL,'R_kgDO00001013',NULL,NULL,2001795899089135);
INSERT INTO "work" VALUES('repository:acme:1016','acme','event',2,1,2,1795899102544,0,0,1795899099122,2,3,1795899162545,NULL,'R_kgDO00001016','reading repositories: POST http://127.0.0.1:7170/graphql: 500 injected fault',1795899162545,1795899099122);
INSERT INTO "work" VALUES('repository:acme:1019','acme','event',2,2,2,1795899097162,0,0,1795899097062,0,2,NULL,NULL,'R_kgDO00001019',NULL,NULL,1795899097062);
INSERT INTO "work" VALUES('repository:acme:1022','acme','sweep',1,1,1,1795899089135,0,0,1795899089135,0,1,NULL,NULL,'R_kgDO00001022',NULL,NULL,2001795899089135);
INSERT INTO "work" VALUES('repository:acme:1025','acme','sweep',1,1,1,1795899089135,0,0,1795899089135,0,1,NULL,NULL,'R_kgDO00001025',NULL,NULL,2001795899089135);
INSERT INTO "work" VALUES('target-group:aws:corp/00gdev','aws','sweep',1,1,1,1795899089137,0,0,1795899089137,0,1,NULL,NULL,'swept 1795899089137 corp',NULL,NULL,2001795899089137);
INSERT INTO "work" VALUES('target-group:aws:corp/00gops','aws','sweep',1,1,1,1795899089137,0,0,1795899089137,0,1,NULL,NULL,'swept 1795899089137 corp',NULL,NULL,2001795899089137);
CREATE INDEX inbox_received ON inbox (received);
CREATE INDEX inbox_bodies ON inbox (received) WHERE body IS NOT NULL;
CREATE INDEX work_rank ON work (rank, due) WHERE due IS NOT NULL;
CREATE INDEX work_age ON work (first_dirty, due) WHERE due IS NOT NULL;
CREATE INDEX work_due ON work (due) WHERE due IS NOT NULL;
CREATE INDEX journal_key ON journal (key, seq);
CREATE INDEX journal_at ON journal (at);
CREATE INDEX journal_intent ON journal (intent) WHERE intent IS NOT NULL;
CREATE INDEX journal_open ON journal (seq) WHERE kind = 'intent';
CREATE INDEX hold_key ON hold (key);
CREATE INDEX guard_booking_at ON guard_booking (instance, at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('journal',43);
COMMIT;
PRAGMA user_version = 2;
PRAGMA application_id = 0;
