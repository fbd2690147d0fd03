"""PLACEHOLDER simulate"""
