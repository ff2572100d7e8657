defmodule FlyDeployAgent.Surroundings do
  @moduledoc """
  What the new code takes for granted around it, and is not there: settings without a default, keys within settings, terms.
  """

  alias FlyDeployAgent.{AppConfig, CodeFacts, DemandFindings, Pair, Paths, Value}

  @fetches [{Application, :fetch_env!, 2}, {:persistent_term, :get, 1}]

  # All modules together.
  @time_ms 3_000
  @gets [{Application, :get_env, 2}, {Application, :get_env, 3}, {Application, :fetch_env!, 2}]

  @doc "The findings about what changed modules fetch, and the running versions of them do not. `config` is what the upgrade applies."
  @spec findings([Pair.t()], AppConfig.found()) :: [FlyDeployAgent.Findings.finding()]
  def findings(pairs, config \\ nil), do: missing(pairs, config) ++ unlike(pairs, config)

  defp missing(pairs, config) do
    fetched =
      for pair <- pairs,
          Enum.any?(@fetches, &(&1 in pair.new.imports)),
          do: {pair, fetched(pair, :new) -- fetched(pair, :old)}

    put = for {%{module: module} = pair, [_ | _]} <- fetched, into: %{}, do: {module, puts?(pair)}

    for {%{module: module}, keys} <- fetched,
        key <- keys,
        missing?(key, put[module], config),
        do: %{
          name: "missing_setting",
          severity: :warn,
          subject: inspect(module),
          detail: "fetches #{told(key)}, which is not there: this will raise"
        }
  end

  defp fetched(%{old: nil}, :old), do: []

  defp fetched(%{module: module} = pair, version) do
    code = Pair.code(pair, version)

    functions =
      for {function, body} <- code, Enum.any?(CodeFacts.calls(body), &(&1 in @fetches)), do: function

    program = Paths.alone(module, Map.take(code, functions), for({f, a} <- functions, do: {module, f, a}))

    for {f, a} <- functions,
        {mfa, arguments} <- Paths.follow(program, {module, f, a}, List.duplicate(:any, a)).calls,
        mfa in @fetches,
        known = for({:const, term} <- arguments, do: term),
        length(known) == length(arguments),
        uniq: true,
        do: {mfa, known}
  end

  # It puts terms itself.
  defp puts?(%{new: %{imports: imports}}), do: {:persistent_term, :put, 2} in imports

  defp missing?({{Application, _, _}, [app, key]}, _puts, config),
    do: is_atom(app) and is_atom(key) and AppConfig.fetch_env(config, app, key) == :error

  defp missing?({{:persistent_term, _, _}, [key]}, puts, _config),
    do: not puts and :persistent_term.get(key, __MODULE__) == __MODULE__

  # Settings are followed as they are through the code of both versions, wherever it reads them.
  defp unlike(pairs, config) do
    until = System.monotonic_time(:millisecond) + @time_ms

    for %{old: %{}, module: module} = pair <- pairs,
        Enum.any?(@gets, &(&1 in pair.new.imports)),
        System.monotonic_time(:millisecond) < until,
        {now, true} <- [demanded(pair, :new, config)],
        now != [],
        {before, true} <- [demanded(pair, :old, config)],
        {setting, demand} <- now -- before,
        uniq: true,
        do: %{
          name: "missing_setting",
          severity: :warn,
          subject: inspect(module),
          detail:
            "reads #{told(setting)}, which is not what the new code takes: #{DemandFindings.wants(demand)}"
        }
  end

  defp demanded(%{module: module} = pair, version, config) do
    code = Pair.code(pair, version)

    roots =
      for {f, a} = function <- Map.get(pair, version).exports,
          reached = CodeFacts.reached(code, module, [function]),
          Enum.any?(reached, fn {_, body} -> Enum.any?(CodeFacts.calls(body), &(&1 in @gets)) end),
          do: {module, f, a}

    program = Paths.alone(module, code, roots)

    told =
      for {_, _, a} = root <- roots,
          setting <- settings(program, root, a),
          {:ok, value} <- [setting(setting, config)],
          lives = %{read: &read(&1, &2, setting, Value.of(value))},
          do: {setting, Paths.follow(program, root, List.duplicate(:any, a), lives)}

    {for(
       {setting, %{misses: misses}} <- told,
       %{demand: demand} <- misses,
       uniq: true,
       do: {setting, demand}
     ), Enum.all?(told, fn {_, told} -> told.whole end)}
  end

  defp settings(program, root, a) do
    for {mfa, [{:const, app}, {:const, key} | _]} <-
          Paths.follow(program, root, List.duplicate(:any, a)).calls,
        mfa in @gets and is_atom(app) and is_atom(key),
        uniq: true,
        do: {mfa, [app, key]}
  end

  defp setting({_, [app, key]}, config), do: AppConfig.fetch_env(config, app, key)

  defp read(mfa, [{:const, app}, {:const, key} | _], {_, [app, key]}, value) when mfa in @gets,
    do: {:gives, value}

  defp read(_mfa, _arguments, _setting, _value), do: nil

  defp told({{Application, _, _}, [app, key]}), do: "the setting #{inspect(key)} of #{inspect(app)}"
  defp told({{:persistent_term, _, _}, [key]}) when is_atom(key), do: "the persistent term #{inspect(key)}"
  defp told(_term), do: "a persistent term"
end
