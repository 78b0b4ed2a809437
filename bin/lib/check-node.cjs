/*
 * Says in one line that Node is too old, before anything that an old Node cannot parse is loaded.
 * Hence the syntax of ten years ago.
 */
'use strict';
var engines = require('../../package.json').engines;

/** Ends the process with exit code 3 unless this Node is at least the version in package.json. */
module.exports = function checkNode() {
  var wanted = /(\d+)\.(\d+)\.(\d+)/.exec(engines.node);
  var have = /(\d+)\.(\d+)\.(\d+)/.exec(process.versions.node);
  for (var part = 1; part <= 3; part++) {
    var difference = Number(have[part]) - Number(wanted[part]);
    if (difference > 0) return;
    if (difference < 0) {
      process.stderr.write('iotda-ssh: Node ' + process.versions.node + ' is too old; install Node ' + wanted[0] + ' or newer (https://nodejs.org).\n');
      process.exit(3);
    }
  }
};
