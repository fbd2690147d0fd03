"""Operations across ranks: which belong together, what each waited for, one clock for all."""
