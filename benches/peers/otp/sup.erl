%% Supervisors: one with all children, and one of supervisors. No bound on deaths that could be met.
-module(sup).
-behaviour(supervisor).
-export([start_link/1, init/1]).

start_link(Spec) -> supervisor:start_link(?MODULE, Spec).

init({flat, Strategy, Ref, Count}) ->
    {ok, {#{strategy => Strategy, intensity => 100000000, period => 1},
          [#{id => N, start => {worker, start_link, [Ref]}} || N <- lists:seq(1, Count)]}};
init({tree, Ref, Groups, Each}) ->
    {ok, {#{strategy => one_for_one},
          [#{id => N, type => supervisor,
             start => {sup, start_link, [{flat, one_for_one, Ref, Each}]}} || N <- lists:seq(1, Groups)]}}.
