#!/bin/bash
# signal FILE: give Heat a report. Heat fills in the command, with its token.
signal() {
  __signal__ --silent --show-error --fail --max-time 20 --data-binary "@$1" >/dev/null
}
