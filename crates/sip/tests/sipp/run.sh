#!/bin/sh
# The stack against sipp (Debian: sip-tester): `tests/sipp/run.sh PHONE`, where PHONE is the built example
# (cargo build -p offhook-sip --example phone). Every scenario over UDP, the plain ones also over TCP.
set -u
phone=$1
here=$(dirname "$0")
work=$(mktemp -d)
failed=0

say() {
    echo "$1: $2"
    [ "$2" = ok ] || { failed=1; tail -n 30 "$work/sipp.out"; cat "$work"/errors 2>/dev/null; }
}

# sipp calls the phone.
"$phone" answer 127.0.0.1:25070 &
answering=$!
sleep 1
for transport in u1 t1; do
    if timeout 60 sipp -sn uac 127.0.0.1:25070 -i 127.0.0.1 -p 25080 -t $transport -m 100 -r 100 -d 20 -nostdin >"$work/sipp.out" 2>&1
    then say "uac $transport" ok; else say "uac $transport" FAILED; fi
done
for scenario in offerless hold prack cancel busy timer refer; do
    if timeout 60 sipp -sf "$here/uac_$scenario.xml" 127.0.0.1:25070 -i 127.0.0.1 -p 25081 -m 10 -r 20 -nostdin \
        -trace_err -error_file "$work/errors" >"$work/sipp.out" 2>&1
    then say "uac_$scenario" ok; else say "uac_$scenario" FAILED; fi
done
kill "$answering"

# The phone calls sipp: scenario, how the phone behaves, what it must say, transport.
placed() {
    scenario=$1 how=$2 expected=$3 transport=$4
    case $transport in tcp) flag=t1 ;; *) flag=u1 ;; esac
    case $scenario in plain) file="-sn uas" ;; *) file="-sf $here/uas_$scenario.xml" ;; esac
    # shellcheck disable=SC2086
    timeout 60 sipp $file -i 127.0.0.1 -p 25060 -t $flag -m 5 -nostdin -trace_err -error_file "$work/errors" \
        >"$work/sipp.out" 2>&1 &
    sipp=$!
    sleep 1
    told=$(timeout 50 "$phone" call 127.0.0.1:25071 "$transport" 127.0.0.1:25060 5 "$how")
    wait "$sipp"
    if [ $? -eq 0 ] && [ "$told" = "$expected" ]; then say "uas_$scenario $transport" ok
    else say "uas_$scenario $transport" "FAILED ($told)"; fi
}
placed plain plain ByUs=5 udp
placed plain plain ByUs=5 tcp
placed auth plain ByUs=5 udp
placed hold hold ByUs=5 udp
placed refer transfer ByUs=5 udp
placed 422 plain ByUs=5 udp
placed 503 plain 503=5 udp
placed cancel cancel 408=5 udp

# 503, then another server.
timeout 60 sipp -sf "$here/uas_503.xml" -i 127.0.0.1 -p 25061 -m 5 -nostdin >"$work/sipp.out" 2>&1 &
broken=$!
timeout 60 sipp -sn uas -i 127.0.0.1 -p 25060 -m 5 -nostdin >/dev/null 2>&1 &
whole=$!
sleep 1
told=$(timeout 50 "$phone" call 127.0.0.1:25071 udp 127.0.0.1:25061,127.0.0.1:25060 5)
wait "$broken" && wait "$whole" && [ "$told" = ByUs=5 ] && say failover ok || say failover "FAILED ($told)"

rm -r "$work"
exit $failed
