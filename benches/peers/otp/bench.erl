%% The scenarios of ../src in Erlang/OTP: gen_servers under supervisors. `erl -run bench main SCENARIO SHAPE`.
-module(bench).
-export([main/1]).

-define(MANY, 100000).
-define(FEWER, 10000).
-define(MEMBERS, 1000).
-define(RESTARTS, 2000).
-define(MESSAGES, 1000000).
-define(QUESTIONS, 200000).

main([Scenario, Shape]) ->
    logger:set_primary_config(level, none),
    register(driver, self()),
    Ref = atomics:new(4, [{signed, true}]),
    [io:format("~s ~.3f~n", [Name, float(Value)]) || {Name, Value} <- run(Scenario, Shape, Ref)],
    halt(0).

run("burst", "tree", Ref) ->
    burst(Ref, ?MANY, {tree, Ref, 1000, ?MANY div 1000},
          fun(Top) -> [P || {_, S, _, _} <- supervisor:which_children(Top), P <- pids(S)] end);
run("burst-10k", "flat", Ref) ->
    burst(Ref, ?FEWER, {flat, one_for_one, Ref, ?FEWER}, fun pids/1);
run("one-for-all", "flat", Ref) ->
    {ok, S} = sup:start_link({flat, one_for_all, Ref, ?MEMBERS}),
    Spans = [begin
                 Kill = fun() -> gen_server:cast(lists:nth(?MEMBERS div 2, pids(S)), boom) end,
                 D = until(Ref, ?MEMBERS, Kill),
                 timer:sleep(20),
                 D
             end || _ <- lists:seq(1, 9)],
    [{"ms", lists:nth(5, lists:sort(Spans))}];
run("restart", "flat", Ref) ->
    {ok, S} = sup:start_link({flat, one_for_one, Ref, 1}),
    %% At its best: a supervisor walks its list of restarts inside the period at each one, so that is
    %% left to run out after every hundred.
    L0 = lists:append([begin timer:sleep(1100), [one(S, Ref) || _ <- lists:seq(1, 100)] end
                       || _ <- lists:seq(1, ?RESTARTS div 100)]),
    L = lists:sort(lists:nthtail(length(L0) div 10, L0)),
    N = length(L),
    [{"p50_us", lists:nth(N div 2, L)}, {"p99_us", lists:nth(N * 99 div 100, L)}];
run("tell", "flat", Ref) ->
    P = ready(Ref),
    T = now_ns(),
    [gen_server:cast(P, {add, 1}) || _ <- lists:seq(1, ?MESSAGES)],
    gen_server:call(P, {add, 0}, infinity),
    rate(?MESSAGES, T);
run("ask", "flat", Ref) ->
    asking(ready(Ref), 1);
run("ask-64", "flat", Ref) ->
    asking(ready(Ref), 64).

ready(Ref) ->
    {ok, S} = sup:start_link({flat, one_for_one, Ref, 1}),
    [P] = pids(S),
    P.

asking(P, Askers) ->
    Each = ?QUESTIONS div Askers,
    T = now_ns(),
    [spawn_link(fun() -> [gen_server:call(P, {add, 1}) || _ <- lists:seq(1, Each)], driver ! done end)
     || _ <- lists:seq(1, Askers)],
    [wait() || _ <- lists:seq(1, Askers)],
    rate(Each * Askers, T).

burst(Ref, Count, Spec, PidsOf) ->
    R0 = resident(),
    {ok, S} = sup:start_link(Spec),
    R1 = resident(),
    Pids = PidsOf(S),
    Ms = until(Ref, Count, fun() -> [gen_server:cast(P, boom) || P <- Pids] end),
    [{"ms", Ms}, {"bytes", (R1 - R0) / Count}].

pids(S) -> [P || {_, P, _, _} <- supervisor:which_children(S)].

one(S, Ref) ->
    [P] = pids(S),
    until(Ref, 1, fun() -> gen_server:cast(P, boom) end),
    (atomics:get(Ref, 2) - atomics:get(Ref, 1)) / 1000.

%% Milliseconds from the kill until so many lives have begun.
until(Ref, Count, Kill) ->
    atomics:put(Ref, 4, atomics:get(Ref, 3) + Count),
    T = now_ns(),
    Kill(),
    wait(),
    (now_ns() - T) / 1000000.

wait() -> receive done -> ok end.

now_ns() -> erlang:monotonic_time(nanosecond).

rate(Count, Since) -> [{"per_s", Count * 1.0e9 / (now_ns() - Since)}].

resident() ->
    {ok, Statm} = file:read_file("/proc/self/statm"),
    [_, Pages | _] = string:split(binary_to_list(Statm), " ", all),
    list_to_integer(Pages) * 4096.
