# Pictures of the web console for docs/, made anew by its browser tests. Sourced by ./dev.
#
# They show what the tests did last; nothing in them is retouched.

# What the tests call a picture, and what the documentation does.
readonly PICTURES='
actions/login              sign-in
actions/cluster-light      cluster
actions/cluster-dark       cluster-dark
actions/cluster-light-320  phone
actions/question-switchover-later  schedule
actions/answer-drill       drill
actions/cloning            cloning
actions/difference         configuration
actions/happened-after     happened
actions/hour-after         hour
actions/connect-light      connect
member-dies/lost           lost
witness/witness            witness
'
# A page of documentation is read over slow lines, too.
readonly PICTURE_BYTES_MAX=150000

make_screenshots() {
  local made=$1 to=$ROOT/docs/images/console from name file
  mkdir -p "$to"
  while read -r from name; do
    [ -n "$from" ] || continue
    file=$to/$name.png
    cp "$made/$from.png" "$file"
    [ "$(stat -c %s "$file")" -le $PICTURE_BYTES_MAX ] || die "$file is larger than $PICTURE_BYTES_MAX bytes"
  done <<<"$PICTURES"
  say "pictures are in ${to#"$ROOT"/}"
}
