# Pictures of the web console and of `quorate setup` for docs/, made anew by their browser tests. Sourced by ./dev.
#
# They show what the tests did last; nothing in them is retouched.

# What the tests call a picture, and what the documentation does.
readonly PICTURES='
actions/login                      console/sign-in
actions/cluster-light              console/cluster
actions/cluster-dark               console/cluster-dark
actions/cluster-light-320          console/phone
actions/question-switchover-later  console/schedule
actions/answer-drill               console/drill
actions/cloning                    console/cloning
actions/difference                 console/configuration
actions/happened-after             console/happened
actions/hour-after                 console/hour
actions/connect-light              console/connect
member-dies/lost                   console/lost
witness/witness                    console/witness
setup/servers                      setup/servers
setup/servers-mistake              setup/servers-mistake
setup/promise                      setup/promise
setup/software                     setup/software
setup/addresses                    setup/addresses
setup/review                       setup/review
setup/start                        setup/start
setup/difference                   setup/difference
setup-cluster/arriving             setup/arriving
setup-cluster/complete             setup/complete
'
# A page of documentation is read over slow lines, too.
readonly PICTURE_BYTES_MAX=220000

make_screenshots() {
  local made=$1 to=$ROOT/docs/images from name file
  mkdir -p "$to/console" "$to/setup"
  while read -r from name; do
    [ -n "$from" ] || continue
    file=$to/$name.png
    cp "$made/$from.png" "$file"
    [ "$(stat -c %s "$file")" -le $PICTURE_BYTES_MAX ] || die "$file is larger than $PICTURE_BYTES_MAX bytes"
  done <<<"$PICTURES"
  say "pictures are in ${to#"$ROOT"/}"
}
