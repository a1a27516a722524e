%% A child with four words of state. Ref: 1 when it panicked, 2 when it began, 3 lives so far, 4 how
%% many are waited for.
-module(worker).
-behaviour(gen_server).
-export([start_link/1, init/1, handle_call/3, handle_cast/2]).

start_link(Ref) -> gen_server:start_link(?MODULE, Ref, []).

init(Ref) ->
    atomics:put(Ref, 2, erlang:monotonic_time(nanosecond)),
    case atomics:add_get(Ref, 3, 1) =:= atomics:get(Ref, 4) of
        true -> driver ! done;
        false -> ok
    end,
    {ok, {Ref, 0, 0, 0, 0}}.

handle_call({add, More}, _From, State) ->
    Sum = element(2, State) + More,
    {reply, Sum, setelement(2, State, Sum)}.

handle_cast(boom, State = {Ref, _, _, _, _}) ->
    atomics:put(Ref, 1, erlang:monotonic_time(nanosecond)),
    erlang:error(boom),
    {noreply, State};
handle_cast({add, More}, State) ->
    {noreply, setelement(2, State, element(2, State) + More)}.
